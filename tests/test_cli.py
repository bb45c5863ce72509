"""The command line, as a user runs it, on the demo made short.

What is killed, distributed or compared with the first training to the last
bit runs in processes of its own; all else in this one, without the seconds
that an import takes.
"""
from __future__ import annotations

import contextlib
import functools
import importlib.util
import io
import os
import re
import runpy
import shlex
import signal
import subprocess
import sys
import time
import zipfile
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest
import torch
from mmaction.registry import HOOKS
from mmengine.config import Config

from mmaction_actiondiff import cli
from mmaction_actiondiff.dumps import read_dump

ROOT = Path(__file__).resolve().parents[1]
DEMO = 'configs/actiondiff_demo.py'
ITERS = 12
SHORT = [
    f'train_cfg.max_iters={ITERS}',
    'train_cfg.val_interval=6',
    'default_hooks.checkpoint.interval=2',
    'default_hooks.logger.interval=1',
    'model.diffusion_head.num_inference_steps=2',
    'train_dataloader.batch_size=6',
    # MMAction2's own tool does not leave out what begins after the end
    'param_scheduler.0.end=2',
    'param_scheduler.1.begin=2'
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


def spawn(*words) -> str:
    process = start(*words)
    output = process.communicate(timeout=600)[0]
    assert process.returncode == 0, output
    return output


def run(*words, fails=False) -> str:
    """Run a tool in this process, with one thread as in the others."""
    output, code, threads = io.StringIO(), None, torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch, \
            contextlib.redirect_stdout(output), \
            contextlib.redirect_stderr(output):
        patch.chdir(ROOT)
        patch.setattr(sys, 'argv', list(map(str, words)))
        torch.set_num_threads(1)
        try:
            runpy.run_path(sys.argv[0], run_name='__main__')
        except SystemExit as error:
            code = error.code
        finally:
            torch.set_num_threads(threads)
    assert (code not in (None, 0)) == fails, output.getvalue()
    return f'{output.getvalue()}{code or ""}'


def mean_ap(output: str, gap: str = ': ') -> str:
    """The last value that is printed, with two digits."""
    value = re.findall(rf'det/mAP@0\.10:0\.70{gap}([\d.]+)', output)[-1]
    return f'{float(value):.2f}'


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
    return work_dir, spawn('tools/train.py', DEMO, '--work-dir', work_dir,
                           *options)


@pytest.mark.slow
def test_train_evaluates_and_says_where_to_look(trained):
    work_dir, output = trained
    assert 'det/mAP@0.10:0.70' in output
    assert re.search(rf'iter_{ITERS}\.pth \(last\)', output)
    assert 'Traceback' not in output
    ours = [
        line for line in output.splitlines()
        if 'Warning' in line and 'mmaction_actiondiff' in line
    ]
    assert not ours


@pytest.mark.slow
def test_commands_of_the_summary_work_as_printed(trained):
    """Twice in any order, and they change nothing that was there."""
    work_dir, output = trained
    before = {
        path: path.read_bytes()
        for path in work_dir.iterdir() if path.is_file()
    }
    test, draw, replay, report = printed(output)
    page = work_dir / 'report.html'
    before.pop(page)
    tested = run_line(test)
    assert mean_ap(tested) == mean_ap(output)
    dump, = work_dir.glob('predictions_*.npz')
    before[dump] = dump.read_bytes()
    run_line(draw)
    assert len(list((work_dir / 'pictures').iterdir())) == 8
    assert mean_ap(run_line(replay), ' +') == mean_ap(output)
    # of the last validation, then of the test
    for source in 'validation.npz', dump.name:
        text = page.read_text()
        assert f'50 videos of <code>{source}</code>' in text
        assert 'Where to cut' in text and '<h3>Worst</h3>' in text
        run_line(report)
    assert 'exists: delete it' in run_line(test, fails=True)
    options = ' --cfg-options model.proposal_generator.max_per_video=3'
    other = run_line(test.split(' --dump')[0] + options)
    assert mean_ap(other) != mean_ap(output)
    run_line(replay +
             ' --cfg-options model.proposal_generator.max_per_video=3')
    run_line(replay + ' --cfg-options test_evaluator.tiou_thrs=[0.3,0.5]')
    assert mean_ap(run_line(test.split(' --dump')[0])) == mean_ap(output)
    for path, content in before.items():
        assert path.read_bytes() == content, path


def printed(output: str) -> list[str]:
    """The commands after "Next:"."""
    return re.findall(r'^  (python .*)$', output.split('Next:')[1], re.M)


def run_line(line: str, fails: bool = False) -> str:
    """Run a command as a shell would."""
    python, *words = shlex.split(line)
    assert python == 'python'
    return run(*words, fails=fails)


@pytest.mark.slow
def test_line_of_the_readme_uses_what_the_quick_start_left(
        trained, options, tmp_path):
    work_dir, _ = trained
    line, = re.findall(
        r'^python tools/infer\.py work_dirs/actiondiff_demo .*$',
        (ROOT / 'README.md').read_text('utf-8'), re.M)
    for ours, theirs in ((work_dir, 'work_dirs/actiondiff_demo'),
                         (options[1].partition('=')[2], 'data/demo'),
                         (tmp_path / 'test_0001.srt', 'test_0001.srt')):
        line = line.replace(theirs, str(ours))
    assert 'of 1 video in' in run_line(line)
    assert (tmp_path / 'test_0001.srt').is_file()


@pytest.mark.slow
def test_submission_is_what_was_evaluated(trained, options, tmp_path):
    work_dir, output = trained
    path = tmp_path / 'submission.json'
    command = ('tools/test.py', DEMO, work_dir / f'iter_{ITERS}.pth',
               '--out-json', path, '--work-dir', tmp_path, *options)
    assert mean_ap(run(*command)) == mean_ap(output)
    assert 'exists: delete it' in run(*command, fails=True)
    data_root = options[1].partition('=')[2]
    table = run('tools/evaluate.py', '--detections', path, '--ann-file',
                f'{data_root}/annotations.json', '--protocol', 'seconds')
    assert mean_ap(output) in table


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
    """Ctrl-C, which ends with the advice; then SIGKILL, as the out-of-memory
    killer sends it."""
    command = ('tools/train.py', DEMO, '--work-dir', tmp_path, *options)
    last = None
    for number in (signal.SIGINT, signal.SIGKILL):
        process = start(
            *command, *(['--resume'] if last else []), start_new_session=True)
        while cli.latest_checkpoint(tmp_path) == last:
            assert process.poll() is None, process.communicate()[0]
            time.sleep(0.1)
        os.killpg(process.pid, number)
        output = process.communicate()[0]
        last = cli.latest_checkpoint(tmp_path)
        if number == signal.SIGINT:
            assert process.returncode == 130 and 'Traceback' not in output
            assert 'The same command with --resume goes on' in output
    assert not (tmp_path / f'iter_{ITERS}.pth').exists()
    output = spawn(*command, '--resume')
    assert 'no whole checkpoint' not in output
    assert 'resumed epoch: 0, iter: ' in output
    assert_same_weights(tmp_path / f'iter_{ITERS}.pth',
                        trained[0] / f'iter_{ITERS}.pth')


@pytest.mark.slow
def test_resume_without_a_checkpoint_says_so(options, tmp_path):
    output = run('tools/train.py', DEMO, '--work-dir', tmp_path, *options,
                 'train_cfg.max_iters=1', '--no-validate', '--resume')
    assert f'{tmp_path} holds no whole checkpoint' in output
    assert (tmp_path / 'iter_1.pth').exists()


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
    spawn(tool, DEMO, '--work-dir', tmp_path, *options)
    assert_same_weights(tmp_path / f'iter_{ITERS}.pth',
                        trained[0] / f'iter_{ITERS}.pth')


TORCHRUN = ('-m', 'torch.distributed.run', '--standalone', '--nproc_per_node',
            2)


@pytest.mark.slow
def test_two_processes_on_cpus(options, tmp_path):
    last = tmp_path / f'iter_{ITERS}.pth'
    output = spawn(*TORCHRUN, 'tools/train.py', DEMO, '--launcher', 'pytorch',
                   '--work-dir', tmp_path, *options)
    # Tested by one process, the same weights get the same number.
    alone = run('tools/test.py', DEMO, last, '--work-dir', tmp_path, *options)
    assert mean_ap(alone) == mean_ap(output)


@pytest.mark.slow
def test_predictions_are_a_function_of_video_and_weights(
        trained, options, tmp_path):
    """Not of batch, order, workers or ranks; to the last bit."""

    def predict(number, *settings, run=run, words=()):
        dump = tmp_path / f'{number}.npz'
        run('tools/test.py', DEMO, trained[0] / f'iter_{ITERS}.pth', *words,
            '--work-dir', tmp_path, '--dump', dump, *options,
            *(f'test_dataloader.{setting}' for setting in settings))
        return {sample['video_name']: sample for sample in read_dump(dump)[0]}

    expected = predict(0)
    assert len(expected) == 50
    np.testing.assert_equal(
        predict(1, 'batch_size=7', 'num_workers=2',
                'sampler.type=DefaultSampler', 'sampler.shuffle=True'),
        expected)
    np.testing.assert_equal(
        predict(
            2,
            'batch_size=1',
            run=functools.partial(spawn, *TORCHRUN),
            words=('--launcher', 'pytorch')), expected)


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


def write(path, value=1.):
    torch.save(dict(w=torch.full((99, ), value)), path)
    return str(path)


def test_latest_checkpoint_is_the_newest_whole_one(tmp_path, capfd):
    assert cli.latest_checkpoint(tmp_path) is None
    for name in ('iter_9.pth', 'iter_10.pth', 'best_iter_11.pth'):
        write(tmp_path / name)
    assert cli.latest_checkpoint(tmp_path) == str(tmp_path / 'iter_10.pth')
    whole = (tmp_path / 'iter_10.pth').read_bytes()
    (tmp_path / 'iter_12.pth').write_bytes(whole[:-10])  # as after a kill
    damaged = bytearray(whole)
    damaged[damaged.index(np.float32(1).tobytes() * 9) + 8] ^= 1
    (tmp_path / 'iter_13.pth').write_bytes(damaged)
    assert zipfile.is_zipfile(tmp_path / 'iter_13.pth')
    assert not capfd.readouterr().err
    assert cli.latest_checkpoint(tmp_path) == str(tmp_path / 'iter_10.pth')
    warned = capfd.readouterr().err
    assert 'iter_13.pth is damaged' in warned and 'iter_12.pth' in warned


def test_latest_checkpoint_is_that_of_the_last_run(tmp_path):
    """Larger numbers are of an earlier, longer one."""
    for number in (10, 20, 60):
        write(tmp_path / f'iter_{number}.pth')
    pointer = tmp_path / 'last_checkpoint'
    # What MMEngine writes, before the folder was copied.
    pointer.write_text('/elsewhere/work/iter_20.pth')
    assert cli.latest_checkpoint(tmp_path) == str(tmp_path / 'iter_20.pth')
    pointer.write_text('D:\\work\\iter_20.pth')
    assert cli.latest_checkpoint(tmp_path) == str(tmp_path / 'iter_20.pth')
    (tmp_path / 'iter_20.pth').write_bytes(b'PK half')
    assert cli.latest_checkpoint(tmp_path) == str(tmp_path / 'iter_10.pth')
    pointer.write_bytes(b'\xff half')
    assert cli.latest_checkpoint(tmp_path) == str(tmp_path / 'iter_60.pth')


def test_new_training_sets_an_earlier_one_aside(tmp_path):
    cfg = Config(dict(work_dir=str(tmp_path)), filename=__file__)
    config = tmp_path / Path(__file__).name
    (tmp_path / 'notes.py').touch()
    for number in (1, 2):
        with cli.work_folder(cfg):
            assert not list(tmp_path.glob('*.pth'))
        for name in ('iter_60.pth', 'best_mAP_iter_60.pth'):
            write(tmp_path / name, number)
        (tmp_path / 'last_checkpoint').touch()
        (tmp_path / 'predictions.npz').touch()
        (tmp_path / '20260102_030405').mkdir()
        config.touch()
    with cli.work_folder(Config(dict(work_dir=str(tmp_path), resume=True))):
        assert (tmp_path / 'iter_60.pth').exists()
    with cli.work_folder(cfg):
        pass
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        'earlier_1', 'earlier_2', 'notes.py', 'train.lock'
    ]
    for number in (1, 2):
        folder = tmp_path / f'earlier_{number}'
        assert sorted(path.name for path in folder.iterdir()) == [
            '20260102_030405', 'best_mAP_iter_60.pth', 'iter_60.pth',
            'last_checkpoint', 'predictions.npz', config.name
        ]
        assert torch.load(folder / 'iter_60.pth')['w'][0] == number


def test_an_earlier_training_is_put_back_if_the_new_one_fails(tmp_path, capfd):
    cfg = Config(dict(work_dir=str(tmp_path)), filename=__file__)
    config = tmp_path / Path(__file__).name
    config.write_text('good')
    write(tmp_path / 'iter_60.pth')
    with pytest.raises(FileNotFoundError), cli.work_folder(cfg):
        config.write_text('bad')
        raise FileNotFoundError
    assert (tmp_path / 'iter_60.pth').exists() and config.read_text() == 'good'
    assert not (tmp_path / 'earlier_1').exists()
    assert 'is in' in capfd.readouterr().err
    with pytest.raises(KeyboardInterrupt), cli.work_folder(cfg):
        write(tmp_path / 'iter_10.pth')
        raise KeyboardInterrupt
    assert (tmp_path / 'iter_10.pth').exists()
    assert (tmp_path / 'earlier_1' / 'iter_60.pth').exists()


def test_one_training_in_a_work_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(cli, '_LOCK_SECONDS', 0.1)
    cfg = Config(dict(work_dir=str(tmp_path)))
    with cli.work_folder(cfg):
        with pytest.raises(ValueError, match='another training is running'):
            with cli.work_folder(cfg):
                pass
        monkeypatch.setenv('RANK', '1')  # a process of the same training
        with cli.work_folder(cfg):
            pass
    monkeypatch.delenv('RANK')
    with cli.work_folder(cfg):
        pass


def test_damaged_checkpoint_and_the_one_to_take(tmp_path):
    write(tmp_path / 'iter_1.pth')
    whole = (tmp_path / 'iter_1.pth').read_bytes()
    damaged = bytearray(whole)
    damaged[damaged.index(np.float32(1).tobytes() * 9) + 8] ^= 1
    (tmp_path / 'iter_2.pth').write_bytes(damaged)
    (tmp_path / 'iter_3.pth').write_bytes(whole[:-10])
    for name in ('iter_2.pth', 'iter_3.pth'):
        cfg = Config(dict(load_from=str(tmp_path / name)))
        with pytest.raises(ValueError, match=f'{name} is damaged.*iter_1.pth'):
            cli.build_runner(cfg)


class Sampling(torch.nn.Module):
    """A model that can be dumped."""
    dump_snippets = False


def summary(work_dir, model, monkeypatch, tool='tools/train.py') -> list[str]:
    torch.save(dict(w=torch.ones(9)), work_dir / 'iter_9.pth')
    monkeypatch.setattr(sys, 'argv', [tool])
    runner = Namespace(
        work_dir=str(work_dir), cfg=Namespace(filename='c.py'), model=model)
    return printed(cli.where_next(runner))


def test_summary_fits_model_and_launcher(tmp_path, monkeypatch):
    work_dir = tmp_path / "O'Brien data"
    work_dir.mkdir()
    monkeypatch.chdir(tmp_path)
    line, = summary(work_dir, torch.nn.Linear(1, 1), monkeypatch)
    assert shlex.split(line) == [
        'python', 'tools/test.py', "O'Brien data/c.py",
        "O'Brien data/iter_9.pth"
    ]
    tool = '/site/mmaction_actiondiff/.mim/tools/train.py'
    lines = summary(work_dir, Sampling(), monkeypatch, tool)
    assert [shlex.split(line)[1] for line in lines] == [
        tool.replace('train', name)
        for name in ('test', 'visualize', 'replay', 'report')
    ]


@pytest.mark.parametrize(
    'key, words',
    [('det_mAP@0.50', 'best evaluation, test-selected'),
     ('label_selection', 'best by the labels of held-out videos')])
def test_summary_says_what_the_best_was_chosen_by(tmp_path, monkeypatch, key,
                                                  words):
    path = tmp_path / f'best_{key}_iter_9.pth'
    path.touch()
    torch.save(dict(w=torch.ones(9)), tmp_path / 'iter_9.pth')
    monkeypatch.chdir(tmp_path)
    runner = Namespace(
        work_dir=str(tmp_path),
        cfg=Namespace(filename='c.py'),
        model=torch.nn.Linear(1, 1))
    assert f'{path.name} ({words})\n' in cli.where_next(runner)


def test_summary_on_another_drive(tmp_path, monkeypatch):

    def relpath(path, start=None):
        raise ValueError('path is on mount D:, start on mount C:')

    monkeypatch.setattr(os.path, 'relpath', relpath)
    line, *_ = summary(tmp_path, Sampling(), monkeypatch)
    assert shlex.split(line)[2] == str(tmp_path / 'c.py')


@pytest.mark.parametrize('path, expected', [
    ('file/out.npz', 'cannot be written'),
    ('folder', 'is a folder'),
    ('file', 'exists: delete it, or name another'),
])
def test_outputs_are_checked_before_the_work(tmp_path, path, expected):
    (tmp_path / 'file').write_text('kept')
    (tmp_path / 'folder').mkdir()
    with pytest.raises(ValueError, match=expected):
        cli.check_output(str(tmp_path / path), overwrite=False)
    assert (tmp_path / 'file').read_text() == 'kept'
    cli.check_output(str(tmp_path / 'new' / 'out.npz'), overwrite=False)
    cli.check_output(str(tmp_path / 'file'))
    assert not (tmp_path / 'new').exists()


@pytest.mark.parametrize('options, expected', [
    (['--dump', 'x.pkl'], r'x\.pkl: .*--dump FILE\.npz'),
    (['--dump', 'setup.cfg/x.npz'], 'cannot be written'),
    (['--seeds', '0'], '--seeds: must be >= 1, got 0'),
    (['--out-json', 'setup.cfg/x.json'], 'cannot be written'),
    (['--out-json', 'x.csv'], r'name x\.csv\.json'),
    (['--out-json', 'x.json', '--seeds', '2'], 'write one run'),
])
def test_test_refuses_at_once(monkeypatch, capsys, options, expected):
    tool = str(ROOT / 'tools' / 'test.py')
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, 'argv', [tool, DEMO, 'no.pth', *options])
    with pytest.raises(SystemExit) as caught:
        runpy.run_path(tool, run_name='__main__')
    assert re.search(expected, f'{caught.value} {capsys.readouterr().err}')


def test_training_stands_without_its_report(tmp_path, capsys):
    tool = runpy.run_path(str(ROOT / 'tools' / 'train.py'))
    tool['report'](tmp_path / 'nowhere', None)
    line, = capsys.readouterr().err.splitlines()
    assert line.startswith('WARNING: no report was written')
    assert 'no such folder' in line


def test_errors_of_ours_end_with_their_message():
    with pytest.raises(SystemExit, match='^Error: the config no.py does not'):
        with cli.command():
            cli.load_config(arguments('no.py'))


@pytest.mark.parametrize('mistake, expected', [
    (lambda: HOOKS.build(dict(type='EMAHok')),
     "type='EMAHok' is no hook; the closest is EMAHook"),
    (lambda: HOOKS.build(dict(type='LoggerHook', intervall=1)),
     "unexpected keyword argument 'intervall'$"),
    (lambda: Config.fromfile('no.py'), 'no.py'),
    (lambda: open('no/file'), 'no/file: No such file'),
])
def test_mistakes_end_with_one_line(mistake, expected):
    with pytest.raises(SystemExit, match=f'^Error: .*{expected}'):
        with cli.command():
            mistake()


def interrupt(*args, **kwargs):
    raise KeyboardInterrupt


def interrupt_while_a_config_is_written():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr('mmengine.config.config.FormatCode', interrupt)
        Config(dict(a=1)).pretty_text


@pytest.mark.parametrize('work',
                         [interrupt, interrupt_while_a_config_is_written])
def test_interrupt_says_how_to_go_on(work, capsys):
    with pytest.raises(SystemExit) as caught:
        with cli.command('go on with --resume'):
            work()
    assert caught.value.code == 130
    assert capsys.readouterr().err.strip() == 'go on with --resume'


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
    monkeypatch.setattr('mmengine.device.get_device', lambda: 'cpu')
    monkeypatch.setattr(sys, 'argv', ['tools/train.py', DEMO, '--amp'])
    with pytest.raises(SystemExit, match='--amp needs a GPU'):
        runpy.run_path(str(ROOT / 'tools/train.py'), run_name='__main__')
