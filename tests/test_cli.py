"""The command line, as a user runs it, on the demo made short."""
from __future__ import annotations

import importlib.util
import os
import re
import signal
import subprocess
import sys
import time
import zipfile
from argparse import Namespace
from pathlib import Path

import pytest
import torch

from mmaction_actiondiff import cli

ROOT = Path(__file__).resolve().parents[1]
DEMO = 'configs/actiondiff_demo.py'
ITERS = 12
SHORT = [
    f'train_cfg.max_iters={ITERS}', 'train_cfg.val_interval=6',
    'default_hooks.checkpoint.interval=2', 'default_hooks.logger.interval=1',
    'model.diffusion_head.num_inference_steps=2', 'model.warmup_iters=2',
    'train_dataloader.batch_size=4',
    'train_dataloader.batch_sampler.num_pairs=1'
]


@pytest.fixture(scope='module')
def options(tmp_path_factory):
    data_root = tmp_path_factory.mktemp('data') / 'demo'  # the first run fills
    return ['--cfg-options', f'data_root={data_root}', *SHORT]


def start(*words, **kwargs) -> subprocess.Popen:
    return subprocess.Popen([sys.executable, *map(str, words)],
                            cwd=ROOT,
                            env=dict(os.environ, OMP_NUM_THREADS='1'),
                            stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT,
                            text=True,
                            **kwargs)


def run(*words, fails=False) -> str:
    process = start(*words)
    output = process.communicate(timeout=600)[0]
    assert (process.returncode != 0) == fails, output
    return output


def mean_ap(output: str) -> str:
    """The last value that the log reports."""
    return re.findall(r'det/mAP@0\.10:0\.70: ([\d.]+)', output)[-1]


def weights(path) -> dict:
    checkpoint = torch.load(path, weights_only=True)
    return {**checkpoint['state_dict'], **checkpoint.get('ema_state_dict', {})}


def assert_same_weights(found, expected) -> None:
    found, expected = weights(found), weights(expected)
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        assert torch.equal(found[key], value), key


@pytest.fixture(scope='module')
def trained(options, tmp_path_factory):
    """An uninterrupted training and what it printed."""
    work_dir = tmp_path_factory.mktemp('trained')
    return work_dir, run('tools/train.py', DEMO, '--work-dir', work_dir,
                         *options)


@pytest.mark.slow
def test_train_judges_and_says_where_to_look(trained):
    work_dir, output = trained
    assert 'det/mAP@0.10:0.70' in output
    assert re.search(rf'iter_{ITERS}\.pth \(last\)', output)
    assert 'tools/visualize.py' in output
    assert 'Traceback' not in output
    ours = [
        line for line in output.splitlines()
        if 'Warning' in line and 'mmaction_actiondiff' in line
    ]
    assert not ours


@pytest.mark.slow
def test_commands_of_the_summary_work_as_printed(trained):
    _, output = trained
    commands = re.findall(r'python (tools/(?:test|replay|visualize)\.py.*)',
                          output)
    assert len(commands) == 3
    tested, *_ = [run(*command.split()) for command in commands]
    assert mean_ap(tested) == mean_ap(output)


@pytest.mark.slow
def test_seeds_report_the_spread(trained, options, tmp_path):
    work_dir, _ = trained
    output = run('tools/test.py', DEMO, work_dir / f'iter_{ITERS}.pth',
                 '--seeds', 2, '--work-dir', tmp_path, *options)
    assert '2 sampler seeds' in output
    assert re.search(r'det/mAP@0\.10:0\.70 +[\d.]+ ± [\d.]+', output)


@pytest.mark.slow
def test_killed_training_resumes_to_the_same_weights(trained, options,
                                                     tmp_path):
    """SIGKILL, as the out-of-memory killer sends it."""
    command = ('tools/train.py', DEMO, '--work-dir', tmp_path, *options)
    process = start(*command, start_new_session=True)
    while cli.latest_checkpoint(tmp_path) is None:
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert not (tmp_path / f'iter_{ITERS}.pth').exists()
    output = run(*command, '--resume')
    assert 'resumed epoch: 0, iter: ' in output
    assert_same_weights(tmp_path / f'iter_{ITERS}.pth',
                        trained[0] / f'iter_{ITERS}.pth')


@pytest.mark.slow
def test_upstreams_own_tool_trains_the_same(trained, options, tmp_path):
    """mmaction2's unmodified tools/train.py drives our config."""
    mmaction = importlib.util.find_spec('mmaction').submodule_search_locations
    tool = Path(mmaction[0]) / '.mim' / 'tools' / 'train.py'
    if not tool.exists():
        pytest.skip(f'this mmaction2 has no {tool}')
    for phase in ('train', 'val', 'test'):
        options = [
            *options,
            options[1].replace('data_root',
                               f'{phase}_dataloader.dataset.data_root')
        ]
    run(tool, DEMO, '--work-dir', tmp_path, *options)
    assert_same_weights(tmp_path / f'iter_{ITERS}.pth',
                        trained[0] / f'iter_{ITERS}.pth')


@pytest.mark.slow
def test_two_processes_on_cpus(options, tmp_path):
    torchrun = ('-m', 'torch.distributed.run', '--standalone',
                '--nproc_per_node', 2)
    last = tmp_path / f'iter_{ITERS}.pth'
    output = run(*torchrun, 'tools/train.py', DEMO, '--launcher', 'pytorch',
                 '--work-dir', tmp_path, *options)
    # Tested by one process, the same weights get the same number.
    alone = run('tools/test.py', DEMO, last, '--work-dir', tmp_path, *options)
    assert mean_ap(alone) == mean_ap(output)


@pytest.mark.slow
def test_missing_data_end_with_the_message_alone(tmp_path):
    output = run(
        'tools/train.py',
        'configs/actiondiff_thumos14.py',
        '--work-dir',
        tmp_path,
        '--cfg-options',
        f'data_root={tmp_path}/nowhere',
        fails=True)
    assert 'Traceback' not in output
    assert f'{tmp_path}/nowhere' in output.split('Error: ')[-1]


def arguments(config, **kwargs) -> Namespace:
    return Namespace(
        **{
            'config': str(config),
            'cfg_options': {},
            'work_dir': None,
            'launcher': 'none',
            'local_rank': 0,
            **kwargs
        })


CONFIG = """
train_dataloader = dict(dataset=dict(dataset=dict(data_root='a')))
val_dataloader = dict(dataset=dict(data_root='b', other=dict(data_root='c')))
test_dataloader = None
"""


def test_data_root_reaches_every_dataset(tmp_path):
    (tmp_path / 'c.py').write_text(CONFIG)
    cfg = cli.load_config(
        arguments(tmp_path / 'c.py', cfg_options=dict(data_root='new')))
    assert cfg.train_dataloader.dataset.dataset.data_root == 'new'
    assert cfg.val_dataloader.dataset.data_root == 'new'
    assert cfg.val_dataloader.dataset.other.data_root == 'new'
    untouched = cli.load_config(arguments(tmp_path / 'c.py'))
    assert untouched.val_dataloader.dataset.data_root == 'b'


def test_work_dir_is_option_then_config_then_name(tmp_path):
    (tmp_path / 'c.py').write_text('x = 1')
    (tmp_path / 'd.py').write_text("work_dir = 'mine'")
    load = cli.load_config
    assert load(arguments(tmp_path / 'c.py')).work_dir == 'work_dirs/c'
    assert load(arguments(tmp_path / 'd.py')).work_dir == 'mine'
    assert load(arguments(tmp_path / 'd.py', work_dir='w')).work_dir == 'w'


def test_latest_checkpoint_is_the_newest_whole_one(tmp_path):
    assert cli.latest_checkpoint(tmp_path) is None
    for name in ('iter_9.pth', 'iter_10.pth', 'best_iter_11.pth'):
        torch.save(dict(w=torch.ones(9)), tmp_path / name)
    assert cli.latest_checkpoint(tmp_path) == str(tmp_path / 'iter_10.pth')
    whole = (tmp_path / 'iter_10.pth').read_bytes()
    (tmp_path / 'iter_12.pth').write_bytes(whole[:-10])
    assert not zipfile.is_zipfile(tmp_path / 'iter_12.pth')
    assert cli.latest_checkpoint(tmp_path) == str(tmp_path / 'iter_10.pth')


def test_errors_of_ours_end_with_their_message():
    with pytest.raises(SystemExit, match='^Error: the config no.py does not'):
        with cli.command():
            cli.load_config(arguments('no.py'))


def test_other_errors_keep_their_traceback():
    with pytest.raises(ValueError, match='invalid literal'):
        with cli.command():
            int('x')


class Broken(torch.utils.data.Dataset):
    """Fails in a worker, either by our own words or by accident."""

    def __init__(self, by_accident: bool):
        self.by_accident = by_accident

    def __len__(self):
        return 1

    def __getitem__(self, index):
        if self.by_accident:
            return int('x')
        return cli.load_config(arguments('no.py'))


@pytest.mark.parametrize('by_accident, expected', [(False, SystemExit),
                                                   (True, ValueError)])
def test_errors_in_workers(by_accident, expected):
    loader = torch.utils.data.DataLoader(Broken(by_accident), num_workers=1)
    with pytest.raises(expected) as caught:
        with cli.command():
            next(iter(loader))
    if expected is SystemExit:
        assert str(caught.value) == ('Error: the config no.py does not exist')


def test_amp_on_a_cpu_says_so(monkeypatch):
    monkeypatch.setattr(cli, 'get_device', lambda: 'cpu')
    with pytest.raises(ValueError, match='--amp needs a GPU'):
        cli.require_gpu_for_amp()
