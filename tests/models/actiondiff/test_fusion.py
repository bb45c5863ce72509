from types import SimpleNamespace

import pytest
import torch

from mmaction_actiondiff.models.branches.base import BranchOutput
from mmaction_actiondiff.models.fusion import (Fusion, peak_ratio,
                                               standardise_like, with_rest)

VALID = torch.ones(2, 1, 8, dtype=torch.bool)
LABEL = torch.tensor([[1., 0., 0.], [0., 1., 1.]])


def denoise(logits, hidden):
    return SimpleNamespace(logits=logits, prob=logits.sigmoid(), hidden=hidden)


def batch():
    torch.manual_seed(0)
    branch = BranchOutput(
        feature=torch.randn(2, 5, 8),
        cas=torch.randn(2, 4, 8),
        attention=torch.rand(2, 1, 8))
    return branch, torch.randn(2, 3, 8), torch.randn(2, 6, 8)


def fuse(mode, logits=None, ramp=1., **kwargs):
    branch, drawn, hidden = batch()
    fusion = Fusion(
        mode, train_mode=None, hidden_channels=6, embed_channels=5, **kwargs)
    return branch, fusion(branch,
                          denoise(drawn if logits is None else logits, hidden),
                          LABEL, VALID, lambda x, valid: x[:, :4] * 2, ramp)


def test_standardise_like_takes_mean_and_spread():
    torch.manual_seed(0)
    x, reference = torch.randn(2, 3, 50) * 7 + 3, torch.randn(2, 3, 50)
    valid = torch.ones(2, 1, 50, dtype=torch.bool)
    out = standardise_like(x, reference, valid)
    torch.testing.assert_close(
        out.mean(-1), reference.mean(-1), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(
        out.std(-1), reference.std(-1), atol=1e-2, rtol=1e-2)


def test_none_returns_the_base():
    branch, fused = fuse('none')
    assert fused is branch


def test_add_by_hand():
    branch, fused = fuse('add', weight=.5, ramp=.5, attention_weight=0.)
    logits = batch()[1]
    torch.testing.assert_close(fused.cas[:, :3],
                               branch.cas[:, :3] + .25 * logits)
    assert torch.equal(fused.cas[:, 3], branch.cas[:, 3])
    assert torch.equal(fused.attention, branch.attention)


@pytest.mark.parametrize('mode', ['blend', 'add', 'suppress'])
def test_zero_logits_keep_the_ranking(mode):
    branch, fused = fuse(mode, logits=torch.zeros(2, 3, 8), weight=.3)
    assert torch.equal(fused.cas[:, :3].argsort(-1),
                       branch.cas[:, :3].argsort(-1))
    if mode == 'add':
        assert torch.equal(fused.cas, branch.cas)


def test_attention_reaches_the_present_classes_only():
    logits = torch.full((2, 3, 8), -20.)
    logits[0, 1] = 20.  # absent in the first video
    logits[1, 2, 4] = 20.  # present in the second
    branch, fused = fuse('add', logits=logits, attention_weight=.5)
    expected = branch.attention / 2
    expected[1, 0, 4] += .5
    torch.testing.assert_close(fused.attention, expected)


def test_suppress_lowers_peaks_and_passes_no_gradient_to_the_denoiser():
    branch, logits, hidden = batch()
    logits.requires_grad_()
    fused = Fusion(weight=.8)(branch, denoise(logits, hidden), LABEL, VALID,
                              None)
    assert not fused.cas.requires_grad
    assert (fused.cas <= branch.cas).all() and (fused.cas < branch.cas).any()
    before = peak_ratio(branch.cas[:, :3].exp(), LABEL, VALID)
    after = peak_ratio(fused.cas[:, :3].exp(), LABEL, VALID)
    assert after <= before


def test_blend_with_a_smooth_sequence_lowers_the_peak_ratio():
    cas = torch.full((1, 2, 20), -3.)
    cas[0, 0, 9] = 5.  # one discriminative snippet
    cas[0, 1] = 0.  # background
    smooth = torch.full((1, 1, 20), -3.)
    smooth[..., 5:14] = 3.  # inside a whole action
    branch = BranchOutput(torch.zeros(1, 1, 20), cas, torch.ones(1, 1, 20))
    valid = torch.ones(1, 1, 20, dtype=torch.bool)
    label = torch.ones(1, 1)
    fused = Fusion('blend').eval()(branch, denoise(smooth, None), label, valid,
                                   None)
    before = peak_ratio(branch.snippet_score(), label, valid)
    after = peak_ratio(fused.snippet_score(), label, valid)
    assert after < before
    score = fused.snippet_score()[0, 0]  # the ambiguous part emerges
    assert score[5:14].min() > 2 * score[:5].max()


def test_gate_feat_weakens_features_then_classifies_again():
    branch, fused = fuse('gate_feat', weight=.5)
    any_action = (batch()[1].sigmoid() * LABEL.unsqueeze(-1)).amax(1, True)
    feature = branch.feature * (1 - .5 * any_action)
    torch.testing.assert_close(fused.feature, feature)
    torch.testing.assert_close(fused.cas, feature[:, :4] * 2)


def test_peak_ratio_by_hand():
    score = torch.tensor([[[0., 1., 2., 99.], [5., 5., 5., 5.]]])
    valid = torch.tensor([[[True, True, True, False]]])
    assert peak_ratio(score, torch.tensor([[1., 0.]]), valid) == 2
    assert peak_ratio(score, torch.tensor([[1., 1.]]), valid) == 1.5
    assert peak_ratio(score, torch.zeros(1, 2), valid) == 0


def test_training_erases_and_testing_averages():
    branch, logits, hidden = batch()
    for default, mode in ((Fusion().train(), 'suppress'), (Fusion().eval(),
                                                           'mixture')):
        expected = Fusion(mode, train_mode=None)
        found, other = (
            x(branch, denoise(logits, hidden), LABEL, VALID, None)
            for x in (default, expected))
        assert torch.equal(found.cas, other.cas)


def test_bad_arguments():
    with pytest.raises(ValueError, match='got magic'):
        Fusion(train_mode='magic')
    with pytest.raises(ValueError, match='set train_mode=None'):
        Fusion('gate_feat', hidden_channels=6, embed_channels=5)
    with pytest.raises(ValueError, match='got magic'):
        Fusion('magic')
    with pytest.raises(ValueError, match='needs hidden_channels'):
        Fusion('gate_feat', train_mode=None)


def test_mixture_averages_two_distributions():
    branch, logits, hidden = batch()
    prob = logits.softmax(1) * .8
    denoised = SimpleNamespace(logits=logits, prob=prob, hidden=hidden)
    fused = Fusion(
        'mixture', weight=.5).eval()(
            branch, denoised, LABEL, VALID, None, ramp=.5)
    expected = .75 * branch.class_score() + .25 * prob
    torch.testing.assert_close(
        fused.class_score(), expected, atol=1e-5, rtol=0)
    rest = .75 * branch.cas.softmax(1)[:, 3] + .25 * .2
    torch.testing.assert_close(
        fused.cas.softmax(1)[:, 3], rest, atol=1e-5, rtol=0)


def test_independent_classes_share_a_snippet():
    prob = torch.tensor([[[.9, .2], [.9, .3]]])
    out = with_rest(prob)
    torch.testing.assert_close(out,
                               torch.tensor([[[.5, .2], [.5, .3], [0., .5]]]))
