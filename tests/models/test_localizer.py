"""WeakLocalizer: modes, classes, dumps; what ActionDiff inherits."""
from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from mmaction.registry import MODELS

from mmaction_actiondiff.hooks import TrainingProgressHook
from mmaction_actiondiff.models import Scores

KINDS = ('WeakLocalizer', 'ActionDiff')


@pytest.fixture(params=KINDS)
def kind(request) -> str:
    return request.param


def curves(sample):
    """Everything that a sample was given, by name."""
    return dict(
        sample.pred_snippets.items(),
        classes=sample.pred_classes,
        video_score=sample.pred_score,
        scores=sample.pred_instances.scores,
        segments=sample.pred_instances.segments)


@pytest.mark.parametrize('mode', ['magic', 'loss', 'predict'])
def test_wrong_modes(build, videos, kind, mode):
    with pytest.raises(ValueError, match='must be|needs data_samples'):
        build(type=kind)(videos()[0], mode=mode)


@pytest.mark.parametrize('value', [-.1, float('nan'), 2.])
def test_bad_threshold_of_classes(build, kind, value):
    with pytest.raises(ValueError, match='video_score_thr must be in'):
        build(type=kind, video_score_thr=value)


def test_tensor_mode_is_one_differentiable_pass(build, shake, videos, branch,
                                                kind):
    model = shake(build(branch, type=kind))
    inputs, samples = videos()
    inputs.requires_grad_()
    scores = model(inputs, samples)
    assert isinstance(scores, Scores)
    (scores.snippet_score.sum() + scores.video_score[:, 0].sum()).backward()
    assert inputs.grad[0, :, :20].abs().sum() > 0
    assert not inputs.grad[0, :, 20:].any()
    names = [n for n, p in model.named_parameters() if p.grad is not None]
    for part in ('base_branch', 'diffusion_head'):
        assert any(n.startswith(part) for n in names) == hasattr(model, part)
    # It draws nothing, and needs no data samples.
    with torch.no_grad():
        first, again = (model(inputs[1:, :, :31]) for _ in range(2))
    for a, b, c in zip(first, again, scores):
        if a is not None:
            assert torch.equal(a, b)
            torch.testing.assert_close(a, c[1:], atol=1e-5, rtol=1e-4)


def test_garbage_behind_a_video_changes_nothing(build, shake, videos, branch,
                                                kind):
    model = shake(build(branch, type=kind, dump_snippets=True))
    answers = []
    for padding, value in ((0, 0.), (30, 0.), (30, 1e3)):
        inputs, samples = videos(padding=padding)
        for row, sample in zip(inputs, samples):
            row[:, sample.num_snippets:] = value
        torch.manual_seed(3)
        losses = {} if padding == 0 else model(inputs, samples, mode='loss')
        answers.append((losses, model(inputs, samples, mode='predict')))
    torch.testing.assert_close(answers[1][0], answers[2][0])
    for short, long, garbage in zip(*(a[1] for a in answers)):
        for name, value in curves(short).items():
            for other in (long, garbage):
                assert torch.equal(curves(other)[name], value), name


def test_a_video_does_not_depend_on_its_batch(build, shake, videos, branch,
                                              kind):
    model = shake(build(branch, type=kind, dump_snippets=True))
    lengths, labels = (20, 31, 7), ((0, ), (1, ), (2, ))

    def predict(order, length):
        inputs, samples = videos(lengths, labels)
        return model(
            inputs[order, :, :length], [samples[i] for i in order],
            mode='predict')

    together, shuffled = predict([0, 1, 2], 31), predict([2, 0, 1], 31)
    for i, length in enumerate(lengths):
        alone = curves(predict([i], length)[0])
        for other in (together[i], shuffled[[2, 0, 1].index(i)]):
            for name, value in curves(other).items():
                assert torch.equal(value, alone[name]), name


def test_the_classes_of_a_video_are_chosen_once(build, shake, videos, branch,
                                                kind, monkeypatch):
    model = shake(
        build(branch, type=kind, dump_snippets=True, video_score_thr=.3))
    given = []
    generate = model.proposal_generator

    def spy(*args, **kwargs):
        given.append(args[3].tolist())
        return generate(*args, **kwargs)

    monkeypatch.setattr(model, 'proposal_generator', spy)
    samples = model(*videos(), mode='predict')
    for sample, classes in zip(samples, given):
        assert sample.pred_classes.tolist() == classes
        assert set(sample.pred_instances.labels.tolist()) <= set(classes)
        likely = (sample.pred_score >= .3).nonzero().flatten().tolist()
        assert classes == (likely or [int(sample.pred_score.argmax())])
        if kind == 'ActionDiff':  # the masks are those classes', no others'
            masked = sample.pred_snippets.mask.any(0)
            assert masked.nonzero().flatten().tolist() == classes


@pytest.mark.parametrize('branch, thr', [('mil', .02), ('co2net', .2)])
def test_the_branch_knows_the_threshold_of_its_video_scores(
        build, branch, thr):
    assert build(branch).video_score_thr == thr
    assert build(branch, video_score_thr=.5).video_score_thr == .5


@pytest.mark.parametrize('thr, expected', [
    (.2, [[1, 0, 1], [0, 1, 0]]),
    (0., [[1, 1, 1], [1, 1, 1]]),
    (1., [[1, 0, 0], [0, 1, 0]]),
])
def test_choose_classes(build, thr, expected):
    model = build(type='WeakLocalizer', video_score_thr=thr)
    score = torch.tensor([[.7, .1, .2], [.05, .15, .1]])
    assert model.choose_classes(score).tolist() == expected


def test_a_post_processing_option_leaves_the_network_alone(
        build, shake, videos):
    first, second = (
        shake(build(dump_snippets=True,
                    proposal_generator=cfg))(*videos(), mode='predict')[1]
        for cfg in (dict(), dict(outer_ratio=.25)))
    for name, value in first.pred_snippets.items():
        assert torch.equal(value, second.pred_snippets[name])
    assert first.pred_instances.scores.tolist(
    ) != second.pred_instances.scores.tolist()


def test_predictions_are_proposals_in_seconds(build, shake, videos, branch,
                                              kind):
    inputs, samples = videos()
    samples[1].set_metainfo(dict(snippet_offset=.25, duration=16.))
    model = shake(build(branch, type=kind))
    for sample in model(inputs, samples, mode='predict'):
        start, end = sample.pred_instances.segments.T
        assert len(start) > 0 and (start < end).all()
        assert start.min() >= 0 and end.max() <= sample.duration
        scores = sample.pred_instances.scores
        assert (scores[:-1] >= scores[1:]).all()
        assert sample.pred_score.shape == (3, )
        assert 'pred_snippets' not in sample


def test_an_offset_moves_the_segments(build, shake, videos):
    model = shake(build(type='WeakLocalizer'))
    plain = model(*videos(), mode='predict')[1].pred_instances
    inputs, samples = videos()
    samples[1].set_metainfo(dict(snippet_offset=.25, duration=99.))
    moved = model(inputs, samples, mode='predict')[1].pred_instances
    inside = (plain.segments[:, 0] > 0) & (plain.segments[:, 1] < 15.5)
    torch.testing.assert_close(moved.segments[inside],
                               plain.segments[inside] + .25)


def test_dumped_curves_have_one_row_per_snippet(build, videos, kind):
    model = build(type=kind, dump_snippets=True)
    dumped = model(*videos(), mode='predict')[1].pred_snippets
    expected = dict(score=(31, 3), attention=(31, ))
    if kind != 'ActionDiff':
        expected.update(contrast=(31, 3))
    else:
        expected.update(
            base_score=(31, 3),
            base_attention=(31, ),
            mask=(31, 3),
            denoised=(31, 3))
    assert {k: tuple(v.shape) for k, v in dumped.items()} == expected


def test_a_contrast_of_the_branch_scores_the_proposals(build, videos,
                                                       monkeypatch):
    model = build(type='WeakLocalizer', dump_snippets=True)
    score = model.base_branch.score
    curve = torch.linspace(-3, 3, 31).expand(1, 3, 31)
    monkeypatch.setattr(
        model.base_branch, 'score', lambda output, valid: score(output, valid).
        _replace(contrast=curve[..., :valid.size(-1)]))
    sample = model(*videos(), mode='predict')[1]
    assert torch.equal(sample.pred_snippets.contrast, curve[0].T)
    expected = model.proposal_generator(
        sample.pred_snippets.score.T.numpy(),
        sample.pred_snippets.attention.numpy(),
        sample.pred_score.numpy(),
        sample.pred_classes.numpy(),
        .5,
        duration=15.5,
        contrast=curve[0].numpy())
    assert expected[2].tolist() == sample.pred_instances.scores.tolist()


def test_progress_comes_from_the_hook(build):
    model = build(type='WeakLocalizer')
    assert model.iteration is None and model.progress == .5
    runner = SimpleNamespace(model=model, iter=30, max_iters=120)
    TrainingProgressHook().before_train_iter(runner, 0)
    assert (model.iteration, model.progress) == (30, .25)


@pytest.mark.parametrize('kind, loss, message', [
    ('ActionDiff', 'CoLALoss', 'ActionDiffLoss, got CoLALoss'),
    ('ActionDiff', 'CO2NetLoss', 'ActionDiffLoss, got CO2NetLoss'),
    ('WeakLocalizer', 'ActionDiffLoss', 'WTALLoss, got ActionDiffLoss'),
    ('WeakLocalizer', 'SnippetSupervisionLoss', 'got SnippetSupervision'),
    ('SupervisedLocalizer', 'MILLoss', 'SnippetSupervisionLoss, got MIL'),
])
def test_the_loss_of_another_localizer_is_refused(kind, loss, message):
    with pytest.raises(ValueError, match=f'{kind} is trained.*{message}'):
        MODELS.build(
            dict(
                type=kind,
                num_classes=3,
                base_branch=dict(type='ConvBranch', embed_channels=8),
                loss=dict(type=loss)))


def test_pretrained_weights(build, shake, tmp_path):
    """``init_cfg`` works as in every model of MMEngine."""
    model = shake(build())
    path = str(tmp_path / 'weights.pth')
    torch.save(dict(state_dict=model.state_dict()), path)
    other = build(
        init_cfg=dict(type='Pretrained', checkpoint=path),
        data_preprocessor=dict(type='WTALDataPreprocessor'))
    other.init_weights()
    for key, value in model.state_dict().items():
        assert torch.equal(other.state_dict()[key], value), key
