"""Every command of docs/tutorial.md, in order, with less training."""
from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import pytest
import torch
from mmaction.registry import MODELS
from mmengine.config import Config
from mmengine.registry import init_default_scope

import mmaction_actiondiff  # noqa: F401  (before MMAction2's models)

FEW = ('train_cfg.max_iters=6 train_cfg.val_interval=3 '
       'default_hooks.checkpoint.interval=3')


def commands(text: str) -> list[str]:
    """The blocks that a reader types, one for each ```bash."""
    blocks = re.findall(r'^```bash\n(.*?)^```$', text,
                        re.DOTALL | re.MULTILINE)
    for full, less in ((' train_cfg.max_iters=300',
                        ''), ('--cfg-options', f'--cfg-options {FEW}'),
                       ('iter_300', 'iter_6'), ('[2048]', '[32]')):
        blocks = [block.replace(full, less) for block in blocks]
    return blocks


def python_lines(text: str) -> str:
    """The example in Python, for the run of the tutorial."""
    lines = re.search(r'^```python\n(.*?)^```$', text,
                      re.DOTALL | re.MULTILINE)
    return lines[1].replace('actiondiff_demo',
                            'mine').replace('data/demo/features', 'three')


@pytest.fixture
def recognizer(tmp_path):
    """In place of a download: a small network with random weights."""
    init_default_scope('mmaction')
    norm = dict(mean=[128.] * 3, std=[64.] * 3, format_shape='NCTHW')
    pipeline = [
        dict(type='DecordInit'),
        dict(type='SampleFrames', clip_len=4, frame_interval=4, num_clips=1),
        dict(type='DecordDecode'),
        dict(type='Resize', scale=(-1, 32)),
        dict(type='CenterCrop', crop_size=32),
        dict(type='FormatShape', input_format='NCTHW'),
        dict(type='PackActionInputs')
    ]
    cfg = Config(
        dict(
            default_scope='mmaction',
            model=dict(
                type='Recognizer3D',
                backbone=dict(
                    type='ResNet3dSlowOnly',
                    depth=18,
                    pretrained=None,
                    base_channels=4,
                    inflate=(0, 0, 1, 1)),
                data_preprocessor=dict(type='ActionDataPreprocessor', **norm)),
            val_dataloader=dict(dataset=dict(pipeline=pipeline))))
    cfg.dump(tmp_path / 'recognizer.py')
    torch.save(
        dict(state_dict=MODELS.build(cfg.model).state_dict()),
        tmp_path / 'recognizer.pth')
    return dict(RECOGNIZER='recognizer.py', WEIGHTS='recognizer.pth')


@pytest.mark.slow
def test_every_command_works(root, tmp_path, recognizer):
    for name in ('tools', 'configs'):
        (tmp_path / name).symlink_to(root / name)
    blocks = commands((root / 'docs/tutorial.md').read_text())
    assert sum('tools/train.py' in block for block in blocks) == 2
    environment = dict(os.environ, OMP_NUM_THREADS='1', **recognizer)
    environment['PYTHONPATH'] = os.pathsep.join(
        filter(None, [str(root), os.environ.get('PYTHONPATH')]))
    output = ''
    for block in blocks:
        done = subprocess.run(['bash', '-euc', block],
                              cwd=tmp_path,
                              env=environment,
                              stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT,
                              text=True)
        assert done.returncode == 0, f'{block}\n{done.stdout}'
        assert 'Traceback' not in done.stdout
        output += done.stdout
        # What preparation prints is what the tutorial says next.
        printed = re.findall(r'--cfg-options (data_root.*)$', done.stdout,
                             re.MULTILINE)
        if printed:
            told = ' '.join(blocks).replace('\\\n', '')
            assert printed[0] in ' '.join(told.split())
    assert 'det/mAP@0.50' in output
    assert len(list((tmp_path / 'work_dirs/mine/pictures').iterdir())) == 3
    assert 'Where to cut' in (tmp_path /
                              'work_dirs/mine/report.html').read_text()
    results = json.loads((tmp_path / 'segments.json').read_text())['results']
    assert len(results) == 150 and all(results.values())
    assert (tmp_path / 'clip_pictures/clip11.png').exists()
    lines = python_lines((root / 'docs/inference.md').read_text())
    (tmp_path / 'three').mkdir()
    for name in ('test_0001', 'test_0002', 'training_0001'):
        (tmp_path / f'three/{name}.npy').symlink_to(
            tmp_path / f'data/mine/features/{name}.npy')
    subprocess.run([sys.executable, '-c', lines],
                   cwd=tmp_path,
                   env=environment,
                   check=True)
    assert len(list((tmp_path / 'pictures').iterdir())) == 3
    cues = (tmp_path / 'clip11.srt').read_text()
    assert re.search(r'-->.*\n(slide|blink) \(', cues)
