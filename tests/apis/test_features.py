"""Videos to features, and on to subtitles."""
from __future__ import annotations

import json
import re
import struct
import sys

import cv2
import decord
import numpy as np
import pytest
import torch
from mmaction.registry import MODELS
from mmengine.config import Config
from mmengine.registry import init_default_scope

from mmaction_actiondiff.apis import ActionDiffInferencer
from mmaction_actiondiff.features import (FeatureExtractor, Frames, _flow,
                                          list_files)
from mmaction_actiondiff.snippets import Sidecar, SnippetGrid

from .conftest import CHANNELS, CLASSES

WIDTH, HEIGHT, FPS = 96, 64, 20


def draw(path, num_frames, fps=FPS, value=lambda i: 5 * i):
    """A clip of plain frames; a brighter one each time."""
    writer = cv2.VideoWriter(
        str(path), cv2.VideoWriter_fourcc(*'mp4v'), fps, (WIDTH, HEIGHT))
    for i in range(num_frames):
        frame = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
        frame[:] = value(i)
        writer.write(frame)
    writer.release()
    return path


RECOGNIZERS = dict(
    i3d=dict(
        type='Recognizer3D',
        backbone=dict(
            type='ResNet3d',
            depth=18,
            pretrained='torchvision://resnet18',
            base_channels=1,
            num_stages=3,
            inflate=(1, 1, 1),
            out_indices=(2, ),
            spatial_strides=(1, 2, 2),
            temporal_strides=(1, 1, 1),
            dilations=(1, 1, 1)),
        cls_head=dict(type='I3DHead', in_channels=4, num_classes=2)),
    tsn=dict(
        type='Recognizer2D',
        backbone=dict(type='ResNet', depth=18, pretrained=None),
        cls_head=dict(type='TSNHead', in_channels=512, num_classes=2)))
RECOGNIZERS['flow'] = dict(
    RECOGNIZERS['i3d'],
    backbone=dict(
        RECOGNIZERS['i3d']['backbone'], in_channels=2, pretrained=None))


@pytest.fixture(scope='module')
def recognizers(tmp_path_factory):
    """Config and checkpoint of recognizers with random weights."""
    init_default_scope('mmaction')
    folder = tmp_path_factory.mktemp('recognizers')
    made = {}
    for name, model in RECOGNIZERS.items():
        torch.manual_seed(0)
        flat, channels = name == 'tsn', 2 if name == 'flow' else 3
        sampler = dict(
            type='SampleFrames',
            clip_len=1 if flat else 4,
            frame_interval=1 if flat else 2,
            num_clips=4 if flat else 10,
            test_mode=True)
        shape = 'NCHW' if flat else 'NCTHW'
        model = dict(
            model,
            data_preprocessor=dict(
                type='ActionDataPreprocessor',
                mean=[128.] * channels,
                std=[64.] * channels,
                format_shape=shape))
        pipeline = [
            dict(type='DecordInit'), sampler,
            dict(type='DecordDecode'),
            dict(type='Resize', scale=(-1, 32)),
            dict(type='CenterCrop', crop_size=32),
            dict(type='FormatShape', input_format=shape),
            dict(type='PackActionInputs')
        ]
        cfg = Config(
            dict(
                default_scope='mmaction',
                model=model,
                val_dataloader=dict(
                    dataset=dict(
                        type='VideoDataset',
                        modality='Flow' if channels == 2 else 'RGB',
                        pipeline=pipeline))))
        cfg.dump(folder / f'{name}.py')
        cfg.model.backbone.pretrained = None
        torch.save(
            dict(state_dict=MODELS.build(cfg.model).state_dict()),
            folder / f'{name}.pth')
        made[name] = str(folder / f'{name}.py'), str(folder / f'{name}.pth')
    return made


@pytest.mark.parametrize('name, window, channels', [('i3d', 8, 4),
                                                    ('tsn', 5, 512),
                                                    ('flow', 8, 4)])
def test_one_row_for_every_whole_window(recognizers, tmp_path, name, window,
                                        channels):
    video = draw(tmp_path / 'v.mp4', 40)
    extract = FeatureExtractor(*recognizers[name], stride=5, device='cpu')
    feature, info = extract(video)
    assert feature.shape == ((40 - window) // 5 + 1, channels)
    assert feature.dtype == np.float32 and np.isfinite(feature).all()
    assert np.ptp(feature, axis=0).max() > 0 or name == 'flow'
    assert (info['window'], info['stride'], info['fps']) == (window, 5, FPS)
    assert info['duration'] == 2. and len(info['checkpoint_sha256']) == 64
    grid = SnippetGrid.read(info)
    assert (grid.seconds, grid.offset) == (.25, (window - 5) / 2 / FPS)
    assert grid.num_snippets(2.) == len(feature)


def test_a_window_sees_its_frames(recognizers, tmp_path):
    video = draw(tmp_path / 'v.mp4', 40)
    extract = FeatureExtractor(*recognizers['i3d'], stride=10, device='cpu')
    clips = [c['inputs'] for c in extract._clips(Frames(video))]
    assert clips[0].shape == (1, 3, 4, 32, 32)  # views, RGB, frames, size
    for i, clip in enumerate(clips):
        # Frame f has the value 5 f: a clip of 4, each second one.
        first = 5 * (10 * i + clip.new_tensor([0, 2, 4, 6]).float())
        torch.testing.assert_close(
            clip.float().mean((0, 1, 3, 4)), first, atol=4, rtol=0)


def test_the_batch_changes_nothing(recognizers, tmp_path):
    video = draw(tmp_path / 'v.mp4', 40)
    one, many = (
        FeatureExtractor(
            *recognizers['i3d'], stride=4, batch_size=n,
            device='cpu')(video)[0] for n in (1, 4))
    np.testing.assert_allclose(one, many, atol=1e-5)


def test_the_window_may_be_chosen(recognizers, tmp_path):
    video = draw(tmp_path / 'v.mp4', 40)
    extract = FeatureExtractor(
        *recognizers['i3d'], window=20, stride=4, device='cpu')
    assert len(extract(video)[0]) == 6
    clip = next(extract._clips(Frames(video)))['inputs'].float()
    assert clip.shape[2] == 4
    # in the middle of the window
    assert clip.mean().item() == pytest.approx(5 * 9, abs=4)


def test_a_short_video_has_one_row(recognizers, tmp_path):
    video = draw(tmp_path / 'v.mp4', 3)
    extract = FeatureExtractor(*recognizers['i3d'], device='cpu')
    assert extract(video)[0].shape == (1, 4)


def test_resampling_takes_the_nearest_frame(tmp_path):
    frames = Frames(draw(tmp_path / 'v.mp4', 40), fps=FPS / 2)
    assert len(frames) == 20 and frames.fps == 10
    values = [f.mean() for f in frames.get([0, 5, 19])]
    np.testing.assert_allclose(values, [0, 50, 190], atol=4)


def test_frames_of_a_variable_rate_are_taken_by_their_time(
        tmp_path, monkeypatch):
    """Frames 0 to 19 last 0.05 s, the others 0.1 s."""
    shown = np.r_[np.arange(20) * .05, 1 + np.arange(20) * .1]
    reader = decord.VideoReader
    monkeypatch.setattr(reader, 'get_avg_fps', lambda self: 40 / 3)
    monkeypatch.setattr(reader, 'get_frame_timestamp',
                        lambda self, index: np.c_[shown, shown][index])
    frames = Frames(draw(tmp_path / 'v.mp4', 40), fps=10)
    assert frames.duration == pytest.approx(3) and len(frames) == 30
    values = [f.mean() for f in frames.get([0, 5, 10, 20, 29])]
    np.testing.assert_allclose(values, [0, 50, 100, 150, 195], atol=4)


def test_a_video_of_a_turned_phone_stands_upright(tmp_path):
    """The rotation is in the header; pixels are stored lying."""
    left = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    left[:, :WIDTH // 2] = 255
    content = bytearray(
        draw(tmp_path / 'lying.mp4', 10, value=lambda i: left).read_bytes())
    # The matrix of the track header: here a quarter turn clockwise.
    start = content.find(b'tkhd') + 44
    whole = 1 << 16
    quarter = (0, whole, 0, -whole, 0, 0, HEIGHT * whole, 0, 1 << 30)
    content[start:start + 36] = struct.pack('>9i', *quarter)
    (tmp_path / 'turned.mp4').write_bytes(content)
    frame, = Frames(tmp_path / 'turned.mp4').get([5])
    assert frame.shape == (WIDTH, HEIGHT, 3)
    assert frame[:WIDTH // 2 - 8].min() > 200
    assert frame[WIDTH // 2 + 8:].max() < 50


@pytest.mark.parametrize('name, first, last, words', [
    ('v.avi', .6, 1, 'its end is missing: it has .* s, and says .* 10.0 s'),
    ('v.mkv', .6, 1, 'its end is missing'),
    ('v.mp4', .6, 1, 'cannot be decoded'),
    ('v.mp4', .5, .9, 'cannot be decoded'),
    ('v.mp4', 0, 1, 'cannot be decoded'),
])
def test_damaged_videos(recognizers, tmp_path, name, first, last, words):
    """Cut, or with zeros in the middle."""
    rng = np.random.default_rng(0)
    video = draw(tmp_path / name, 200, 20,
                 lambda i: rng.integers(0, 256, (HEIGHT, WIDTH, 3)))
    content = bytearray(video.read_bytes())
    first, last = (int(len(content) * share) for share in (first, last))
    content[first:last] = bytes(last - first) if last < len(content) else b''
    video.write_bytes(content)
    extract = FeatureExtractor(*recognizers['i3d'], device='cpu')
    with pytest.raises(ValueError, match=rf'{name}: .*{words}.*ffmpeg'):
        extract(video)


def test_flow_goes_where_things_move():
    images = np.zeros((2, 40, 40, 3), np.uint8)
    rng = np.random.default_rng(0)
    square = cv2.GaussianBlur(
        rng.integers(0, 256, (20, 20, 3)).astype(np.uint8), (5, 5), 0)
    images[0, 10:30, 8:28] = square
    images[1, 10:30, 12:32] = square  # 4 pixels to the right
    flow = _flow(*images)[14:26, 14:26].astype(float)
    right, down = flow.mean((0, 1)) - 127.5
    assert right == pytest.approx(4 * 127.5 / 20, rel=.3)
    assert abs(down) < 4


def test_flow_looks_at_the_next_frame(tmp_path):
    frames = Frames(draw(tmp_path / 'v.mp4', 6), modality='Flow')
    images = frames.get([2, 5])
    assert [f.shape for f in images] == [(HEIGHT, WIDTH, 2)] * 2


def test_written_once(recognizers, tmp_path):
    video = draw(tmp_path / 'v.mp4', 20)
    extract = FeatureExtractor(*recognizers['i3d'], device='cpu')
    assert extract.write(video, tmp_path / 'out')
    assert sorted(
        p.name for p in (tmp_path / 'out').iterdir()) == ['v.json', 'v.npy']
    sidecar = Sidecar.read(tmp_path / 'out' / 'v.npy')
    assert sidecar.grid == SnippetGrid(16 / FPS, (8 - 16) / 2 / FPS)
    assert sidecar.duration == 1.
    assert len(sidecar.recognizer['checkpoint_sha256']) == 64
    assert not extract.write(video, tmp_path / 'out')
    other = FeatureExtractor(*recognizers['i3d'], stride=4, device='cpu')
    with pytest.raises(ValueError, match="made with {'stride': 16}"):
        other.write(video, tmp_path / 'out')
    (tmp_path / 'out' / 'v.json').unlink()
    with pytest.raises(ValueError, match=r'v\.npy is there, and no v\.json'):
        extract.write(video, tmp_path / 'out')


@pytest.mark.parametrize('text', [
    '[]', '{"stride": 16}', '{"duration": 0}', '{"duration": "9"}', 'x',
    '{"stride": "a", "fps": 25}'
])
def test_bad_sidecars(tmp_path, text):
    (tmp_path / 'a.json').write_text(text)
    with pytest.raises(ValueError, match='a.json: expected what'):
        Sidecar.read(tmp_path / 'a.npy')


def test_what_cannot_be_used_is_named(root, recognizers, tmp_path):
    config, checkpoint = recognizers['i3d']
    (tmp_path / 'v.mp4').write_text('no video')
    with pytest.raises(ValueError, match='v.mp4: cannot be decoded'):
        Frames(tmp_path / 'v.mp4')
    with pytest.raises(FileNotFoundError, match='no such video'):
        Frames(tmp_path / 'none.mp4')
    for words, message in (((tmp_path / 'none.py', checkpoint),
                            'no such config'), ((config,
                                                 tmp_path / 'none.pth'),
                                                'no such checkpoint'),
                           ((root / 'configs/actiondiff_demo.py', checkpoint),
                            'of a recognizer'),
                           ((config, recognizers['tsn'][1]), 'does not fit')):
        with pytest.raises((FileNotFoundError, ValueError), match=message):
            FeatureExtractor(*map(str, words), device='cpu')
    for options, message in ((dict(stride=0), 'stride must be > 0'),
                             (dict(window=7), 'more than the window')):
        with pytest.raises(ValueError, match=message):
            FeatureExtractor(config, checkpoint, device='cpu', **options)


def call(tool, monkeypatch, *words):
    """Run a tool in this process; what it ends with, or None."""
    module = __import__(tool)
    monkeypatch.setattr(sys, 'argv', [tool, *map(str, words)])
    try:
        module.main()
    except SystemExit as end:
        return str(end.code)
    return None


@pytest.fixture
def videos(tmp_path):
    folder = tmp_path / 'videos'
    folder.mkdir()
    for name, number in dict(a=200, b=300).items():
        rng = np.random.default_rng(number)
        draw(folder / f'{name}.mp4', number, 20,
             lambda i: rng.integers(0, 256, (HEIGHT, WIDTH, 3)))
    return folder


def test_from_a_video_to_subtitles(videos, recognizers, root, tmp_path,
                                   monkeypatch):
    """Extract, localise the features, localise the video: the same cues."""
    from .conftest import small_config
    cfg = small_config(root)
    cfg.model.stream_channels = [2, 2]
    init_default_scope('mmaction')
    torch.save(
        dict(
            meta=dict(
                cfg=cfg.pretty_text,
                dataset_meta=dict(classes=CLASSES, seconds_per_snippet=.4)),
            state_dict=MODELS.build(cfg.model).state_dict()),
        tmp_path / 'localizer.pth')
    (videos / 'broken.mp4').write_text('no video')
    words = (*recognizers['i3d'], videos, '--out', tmp_path / 'features',
             '--stride', 8, '--device', 'cpu')
    for _ in range(2):
        end = call('extract_features', monkeypatch, *words)
        assert re.match(r'Error: 1 of 3 inputs .*\n.*broken.mp4: cannot', end)
    assert json.loads((tmp_path / 'features/b.json').read_text())['fps'] == 20

    end = call('infer', monkeypatch, tmp_path / 'localizer.pth',
               tmp_path / 'features', '--out', tmp_path / 'f_{video}.srt',
               '--min-score', 0, '--max-segments', 2)
    assert end is None
    end = call('infer', monkeypatch, tmp_path / 'localizer.pth', videos,
               '--out', tmp_path / 'v_{video}.srt', '--min-score', 0,
               '--max-segments', 2, '--recognizer', *recognizers['i3d'],
               '--stride', 8, '--device', 'cpu')
    assert re.match(r'Error: 1 of 3 inputs .*\n.*broken.mp4: cannot', end)
    text = (tmp_path / 'v_b.srt').read_text()
    assert text == (tmp_path / 'f_b.srt').read_text()
    cues = text.strip().split('\n\n')
    assert len(cues) == 2
    for number, cue in enumerate(cues, start=1):
        first, times, label = cue.split('\n')
        assert first == str(number)
        assert re.fullmatch(r'00:00:\d\d,\d{3} --> 00:00:\d\d,\d{3}', times)
        assert times <= '00:00:15,000 --> 00:00:15,000'
        assert re.match(r'(jump|run|sit → ‹b>) \(\d\.\d\d\)', label)


def test_video_without_a_recognizer(localizer, videos, monkeypatch, tmp_path):
    (tmp_path / 'x.csv').write_text('earlier results')
    end = call('infer', monkeypatch, localizer, videos / 'a.mp4', '--out',
               tmp_path / 'x.csv')
    assert 'a.mp4 is a video: give' in end
    assert (tmp_path / 'x.csv').read_text() == 'earlier results'


def test_results_replace_nothing_but_results(localizer, features, monkeypatch,
                                             tmp_path, capsys):
    out = tmp_path / 'out.json'
    words = 'infer', monkeypatch, localizer, features, '--out', out
    assert call(*words) is None
    number = sum(map(len, json.loads(out.read_text())['results'].values()))
    assert call(*words, '--min-score', 1) is None
    assert f'{number} more are left out; --min-score 1' in capsys.readouterr(
    ).out
    sidecar = tmp_path / f'{min(features.glob("*.npy")).stem}.json'
    sidecar.write_text('{"stride": 16}')
    end = call(*words[:-1], tmp_path / '{video}.json')
    assert f'{sidecar} is there and holds no results' in end
    assert sidecar.read_text() == '{"stride": 16}'


def test_what_a_folder_holds_besides_is_named(features, tmp_path, monkeypatch):
    told = []
    monkeypatch.setattr('mmaction_actiondiff.features.print_log',
                        lambda text, **_: told.append(text))
    for path in features.glob('*.npy'):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / 'more.npz').touch()
    paths = list_files(tmp_path, ('.npy', ), ('.mp4', ))
    assert len(paths) == len(list(features.glob('*.npy')))
    assert "are taken, ['.npz'] are not" in told[0]


def test_features_of_the_wrong_recognizer(localizer, videos, recognizers):
    extractor = FeatureExtractor(*recognizers['i3d'], device='cpu')
    inferencer = ActionDiffInferencer(
        localizer, device='cpu', extractor=extractor, show_progress=False)
    with pytest.raises(ValueError, match=rf'\(T, {CHANNELS}\), found'):
        inferencer(videos / 'a.mp4')
