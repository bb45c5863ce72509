"""Features and arrays to segments."""
from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch

from mmaction_actiondiff.apis import ActionDiffInferencer
from mmaction_actiondiff.apis.checkpoint import config_from_text

from .conftest import CLASSES, small_config


@pytest.fixture(scope='module')
def inferencer(localizer):
    return ActionDiffInferencer(localizer, device='cpu', show_progress=False)


def by_name(results) -> dict:
    return {p['video_name']: p for p in results['predictions']}


def test_segments_in_seconds_with_names(inferencer, features):
    found = inferencer(str(features / 'a.npy'))['predictions']
    assert len(found) == 1 and found[0]['video_name'] == 'a'
    assert found[0]['duration'] == 15  # 30 snippets of 0.5 s
    assert set(found[0]['video_scores']) == set(CLASSES)
    scores = [s['score'] for s in found[0]['segments']]
    assert scores and scores == sorted(scores, reverse=True)
    for s in found[0]['segments']:
        assert s['label'] in CLASSES
        assert 0 <= s['segment'][0] < s['segment'][1] <= 15
    json.dumps(found)


def test_batch_and_order_change_nothing(inferencer, features):
    alone = by_name(inferencer(features))
    paths = [features / f'{name}.npy' for name in 'cab']
    together = by_name(inferencer(paths, batch_size=3))
    assert alone == together and set(alone) == set('abc')


def test_arrays_are_named_by_their_content(inferencer, features):
    arrays = [np.load(features / f'{name}.npy') for name in 'ab']
    found = inferencer(arrays)['predictions']
    swapped = inferencer([torch.from_numpy(a) for a in arrays[::-1]])
    assert found == swapped['predictions'][::-1]
    assert found[0]['video_name'] != found[1]['video_name']


def test_sidecar_says_when_snippets_are(inferencer, features, tmp_path):
    shutil.copy(features / 'b.npy', tmp_path)
    plain = inferencer(tmp_path)['predictions'][0]
    (tmp_path / 'b.json').write_text(
        json.dumps(dict(window=30, stride=10, fps=20, duration=9.6)))
    moved = inferencer(tmp_path)['predictions'][0]
    assert moved['duration'] == 9.6
    # The same snippets: cells of 0.5 s, the first of which starts at 0.5 s.
    inner = [s for s in plain['segments'] if 0 < s['segment'][0]]
    assert inner
    starts = {round(s['segment'][0] + 0.5, 6) for s in inner}
    assert starts <= {round(s['segment'][0], 6) for s in moved['segments']}


def test_features_of_another_network(localizer, features, tmp_path):
    """The check sum of the weights decides, not the names of the files."""
    content = torch.load(localizer / 'iter_3.pth', weights_only=True)
    made_by = dict(
        checkpoint='i3d.pth', checkpoint_sha256='a' * 64, modality='RGB')
    content['meta']['dataset_meta']['recognizers'] = [made_by]
    torch.save(content, tmp_path / 'iter_4.pth')
    inferencer = ActionDiffInferencer(
        tmp_path / 'iter_4.pth', device='cpu', show_progress=False)
    shutil.copy(features / 'b.npy', tmp_path)
    for changed, message in ((dict(checkpoint='renamed.pth'), None),
                             (dict(checkpoint_sha256='b' * 64),
                              r'b\.npy: .* another network .*i3d\.pth, '
                              'checkpoint_sha256 b+ instead of .* a+[.]'),
                             (dict(modality='Flow'), 'modality Flow')):
        (tmp_path / 'b.json').write_text(json.dumps({**made_by, **changed}))
        if message:
            with pytest.raises(ValueError, match=message):
                inferencer(tmp_path / 'b.npy')
        else:
            assert inferencer(tmp_path / 'b.npy')['predictions']


def test_seconds_may_be_given(inferencer, features):
    array = np.load(features / 'b.npy')
    found = inferencer(array, seconds_per_snippet=2., snippet_offset=1.)
    assert found['predictions'][0]['duration'] == 17 * 2 + 2
    with pytest.raises(ValueError, match='snippet_offset needs'):
        inferencer(array, snippet_offset=1.)


def test_another_rate_than_in_training_is_told(inferencer, features,
                                               monkeypatch):
    told = []
    monkeypatch.setattr('mmaction_actiondiff.apis.inferencer.print_log',
                        lambda message, **_: told.append(message))
    inferencer(features / 'b.npy')
    assert not told
    inferencer(features / 'b.npy', seconds_per_snippet=2.)
    assert 'a snippet covers 2 s, in the training of the model 0.5' in told[0]


def test_pictures(inferencer, features, tmp_path, monkeypatch):
    shown = []
    monkeypatch.setattr('mmengine.visualization.Visualizer.show',
                        lambda self, image, win_name: shown.append(win_name))
    out = inferencer(features, out_dir=tmp_path, show=True)
    assert out['visualization'] == [str(tmp_path / f'{n}.png') for n in 'abc']
    assert all((tmp_path / f'{n}.png').stat().st_size > 9000 for n in 'abc')
    assert shown == list('abc')


def test_data_samples(inferencer, features):
    sample, = inferencer(
        features / 'a.npy', return_datasamples=True)['predictions']
    assert sample.pred_instances.segments.shape[1] == 2
    assert 'pred_snippets' not in sample


def test_bad_inputs_are_left_out_when_asked_for(inferencer, features,
                                                tmp_path):
    np.save(tmp_path / 'wide.npy', np.zeros((4, 9), np.float32))
    np.save(tmp_path / 'turned.npy', np.zeros((6, 9), np.float32))
    np.save(tmp_path / 'nan.npy', np.full((4, 6), np.nan))
    (tmp_path / 'x.txt').write_text('')
    bad = [
        tmp_path / n for n in ('wide.npy', 'turned.npy', 'nan.npy', 'x.txt')
    ] + [tmp_path / 'none.npy', 3, tmp_path / 'clip.mp4']
    words = [
        r'takes features \(T, 6\), found \(4, 9\)', 'transpose it',
        'not finite', 'expected a feature file', 'no such feature file',
        'got a int', 'is a video: give extractor'
    ]
    for item, message in zip(bad, words, strict=True):
        with pytest.raises((FileNotFoundError, TypeError, ValueError),
                           match=message):
            inferencer(item)
    bad.remove(3)
    result = inferencer([*bad, features / 'a.npy'],
                        batch_size=2,
                        skip_errors=True)
    assert list(by_name(result)) == ['a']
    assert list(result['errors']) == [str(path) for path in bad]


def test_empty_folder(inferencer, tmp_path):
    with pytest.raises(FileNotFoundError, match='expected files'):
        inferencer(tmp_path)
    with pytest.raises(FileNotFoundError, match='no such file or folder'):
        inferencer(tmp_path / 'none')


def test_config_and_checkpoint(root, localizer, features, inferencer,
                               tmp_path):
    small_config(root).dump(tmp_path / 'c.py')
    other = ActionDiffInferencer(
        tmp_path / 'c.py',
        localizer / 'iter_3.pth',
        device='cpu',
        show_progress=False)
    assert other(features) == inferencer(features)


@pytest.mark.parametrize(
    'change, message',
    [(lambda c: c['meta'].pop('dataset_meta'), 'does not name the classes'),
     (lambda c: c['meta'].pop('cfg'), 'holds no config'),
     (lambda c: c['state_dict'].popitem(), 'does not fit'),
     (lambda c: c['meta']['dataset_meta'].update(classes=['a']),
      'the model has 3 classes'),
     (lambda c: c['meta'].update(cfg='import os\n'), 'would run code'),
     (lambda c: c['meta'].update(cfg='model = dict(type="os.system")\n'),
      "the type 'os.system'"),
     (lambda c: c['meta'].update(cfg='model = exec("1")\n'), 'would run code'),
     (lambda c: c['meta'].update(cfg=c['meta']['cfg'].replace(
         "'mmaction_actiondiff'", "'mine'").replace('ConvDenoiser', 'Mine')),
      r"imports \['mine'\], which would run code.*Mine is not in")])
def test_checkpoints_that_cannot_be_used(localizer, tmp_path, change, message):
    checkpoint = torch.load(localizer / 'iter_3.pth', weights_only=True)
    change(checkpoint)
    torch.save(checkpoint, tmp_path / 'iter_1.pth')
    with pytest.raises(ValueError, match=message):
        ActionDiffInferencer(tmp_path)


def test_what_is_missing_is_named(root, tmp_path):
    with pytest.raises(FileNotFoundError, match='found nothing'):
        ActionDiffInferencer(tmp_path / 'none')
    with pytest.raises(FileNotFoundError, match='train first'):
        ActionDiffInferencer(tmp_path)
    config = root / 'configs/actiondiff_demo.py'
    with pytest.raises(ValueError, match='name a checkpoint'):
        ActionDiffInferencer(config)
    with pytest.raises(FileNotFoundError, match='no such checkpoint'):
        ActionDiffInferencer(config, tmp_path / 'none.pth')


def test_config_text_is_read_as_it_was_written(root):
    cfg = small_config(root)
    read = config_from_text(cfg.pretty_text, 'x')
    assert read.to_dict() == cfg.to_dict()
