"""The benchmark: what it runs, resumes, computes, writes, and never loses."""
from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from mmengine.config import Config

from benchmarks import benchmark as tool
from benchmarks import pool as pool_tool
from benchmarks import report as report_tool
from benchmarks import transfer
from benchmarks.plan import Plan, Run, load_plan
from mmaction_actiondiff.cli import UsageError

BENCHMARKS = ('shrec21', 'hapt', 'demo', 'demo_thumos14', 'demo_thumos14_half',
              'demo_thumos14_double', 'thumos14', 'activitynet12',
              'activitynet13')


def make_plan(root, tmp_path, name, **changes):
    bench = load_plan(str(root / 'configs' / 'benchmarks' / f'{name}.py'))
    return bench, Plan(bench, tmp_path, **{'seeds': [0], **changes})


@pytest.mark.parametrize('name', BENCHMARKS)
def test_plan(root, tmp_path, name):
    bench, plan = make_plan(root, tmp_path, name)
    assert {'actiondiff', 'base', 'control',
            'supervised'} <= set(bench.entries)
    keys = {run.key for run in plan.runs.values()}
    assert len(keys) == len(plan.runs) == len(bench.entries)
    order = list(plan.runs.values())
    for i, run in enumerate(order):
        assert run.source is None or run.source in order[:i]
        assert run.config.randomness.seed == 0
        assert 'ProposalRecall' in [
            m['type'] for m in run.config.test_evaluator
        ]


def test_plan_follows_what_matters(root, tmp_path):
    _, plan = make_plan(root, tmp_path, 'demo')
    _, moved = make_plan(root, tmp_path / 'elsewhere', 'demo', entries=['bmn'])
    assert {
        k: r.key
        for k, r in plan.runs.items()
    } == {
        k: r.key
        for k, r in moved.runs.items()
    }
    assert [r.name for r in moved.wanted] == ['base', 'bmn']
    _, other = make_plan(
        root, tmp_path, 'demo', options={'train_cfg.max_iters': 7})
    # other options are another folder
    for made in (plan, other):
        folders = {run.folder for run in made.runs.values()}
        assert len(folders) == len(made.runs)
        assert all(x.is_relative_to(tmp_path / 'demo') for x in folders)
    assert not folders & {run.folder for run in plan.runs.values()}
    assert not ({run.key
                 for run in plan.runs.values()}
                & {run.key
                   for run in other.runs.values()})
    # the proposals of no class are paired with the scores of the base's run
    base, bmn = (other.runs[name, 0] for name in ('base', 'bmn'))
    paired = [(metric.get('video_scores'), metric.get('prefix'))
              for metric in bmn.config.test_evaluator
              if 'video_scores' in metric]
    scores = str(base.folder / 'test.npz')
    assert paired == [('ground_truth', None), (scores, None), (scores, 'co2')]
    with pytest.raises(UsageError, match=r"not \['nobody'\]"):
        make_plan(root, tmp_path, 'demo', entries=['nobody'])


def test_a_plan_is_checked_before_it_runs(root, tmp_path):
    path = tmp_path / 'mine.py'
    base = root / 'configs/benchmarks/demo.py'
    for text, message in (("base = 'nope'", "not: .'nope'"),
                          ("compare = [('actiondiff', 'none')]", "'none'")):
        path.write_text(f"_base_ = ['{base}']\n{text}\n")
        with pytest.raises(UsageError, match=message):
            load_plan(str(path))
    path.write_text("data = 'demo'\nprotocol = 'seconds'\nbase = 'a'\n"
                    "main_metric = 'det/mAP@0.50'\n"
                    "entries = dict(a=dict(config='x', label='A'))\n")
    plan = load_plan(str(path))
    assert plan.ceiling is None and not plan.compare
    path.write_text("data = 'demo'\n")
    with pytest.raises(UsageError, match="lacks .'base', 'entries', 'main_m"):
        load_plan(str(path))


def test_entries_share_the_protocol(root, tmp_path):
    bench, plan = make_plan(root, tmp_path, 'demo')
    bench.protocol = 'anet'
    with pytest.raises(UsageError, match="by 'seconds'.*by 'anet'"):
        plan.check_protocol('base', plan.runs['base', 0].config)


def test_statistics():
    # deviations -2, 0, 2: variance 8 / 2
    assert report_tool.mean_std([1., 3., 5.]) == dict(mean=3., std=2.)
    assert report_tool.mean_std([4.]) == dict(mean=4., std=None)
    # differences 1, 3, 2 on the common seeds: std 1, over sqrt(3)
    found = report_tool.paired_difference({
        0: 5.,
        1: 8.,
        2: 4.,
        9: 99.
    }, {
        2: 2.,
        1: 5.,
        0: 4.
    })
    assert found['seeds'] == [0, 1, 2] and found['mean'] == 2
    assert found['standard_error'] == pytest.approx(3**-0.5)
    assert report_tool.paired_difference({0: 1.}, {1: 1.}) is None
    assert report_tool.paired_difference({0: 3.},
                                         {0: 1.})['standard_error'] is None
    share = report_tool.share_of_gap
    # on the one seed that all have
    assert share({0: 25, 1: 99}, {0: 20}, {0: 40, 1: 50}) == 25
    assert share({0: 15}, {0: 20}, {0: 40}) == -25
    assert share({0: 25}, {0: 40}, {0: 40}) is None
    assert share({0: 25}, {1: 20}, {0: 40}) is None


MACHINE = dict(cpu='some cpu', cpu_count=2, threads=1, device='cpu')


def a_result(average, iteration=4, **metrics):
    return dict(
        iteration=iteration,
        metrics={
            'det/mAP@0.50': average + 1,
            'det/mAP@0.10:0.70': average,
            'proposal/AR@100': 50.,
            'co2/mAP@0.10:0.70': average + 2,
            **metrics
        },
        history={
            '2': {
                'det/mAP@0.10:0.70': average + 5
            },
            '4': {
                'det/mAP@0.10:0.70': average
            }
        },
        protocol=dict(
            name='seconds', num_videos=2, num_gt=3, settings=dict(a=1)),
        parameters=1500000,
        inference_ms=2.,
        train_seconds=10.,
        peak_memory_mb=100.,
        peak_gpu_memory_mb=None,
        machine=MACHINE,
        versions=dict(python='3.11'))


def test_report(root):
    bench = load_plan(str(root / 'configs' / 'benchmarks' / 'demo.py'))
    results = dict(
        actiondiff={
            0: a_result(25.),
            1: a_result(31.)
        },
        base={
            0: a_result(20.),
            1: a_result(22.)
        },
        supervised={0: a_result(49.)},
        bmn={0: a_result(1.)})
    results['supervised'][0]['versions'] = dict(python='3.12')
    # no class-aware metric there
    del results['bmn'][0]['metrics']['det/mAP@0.10:0.70']
    report = report_tool.summarise(bench, results, [0, 1], 'a command')
    json.dumps(report)
    ours = report['entries']['actiondiff']
    assert ours['family'] == 'ours' and ours['seeds'] == [0, 1]
    assert ours['average'] == [25., 31.]
    assert ours['mAP']['0.50'] == dict(mean=29., std=pytest.approx(18**.5))
    # on the ceiling's one seed: 20 -> 25 of 20 -> 49
    assert ours['share_of_gap'] == pytest.approx(500 / 29)
    assert ours['minus_base'] == dict(
        seeds=[0, 1], mean=7., standard_error=pytest.approx(2.))
    assert ours['best_on_test']['mean'] == 33
    assert ours['other_averages']['co2/mAP@0.10:0.70']['mean'] == 30
    assert report['entries']['bmn']['average'] == []
    assert report['entries']['bmn']['AR@AN'] == {
        '100': dict(mean=50., std=None)
    }
    assert report['entries']['supervised']['missing_seeds'] == [1]
    assert 'control' in report['missing']
    assert report['versions'] == dict(python='3.11 / 3.12')
    by_tiou = report['differences'][0]['by_tiou']
    assert by_tiou['0.50']['mean'] == 7
    assert by_tiou['0.50']['standard_error'] == pytest.approx(2.)
    assert [(d['first'], d['second'])
            for d in report['differences']] == [('actiondiff', 'base')]
    text = report_tool.markdown(bench, report)
    row, = [line for line in text.splitlines() if '**28.0 ± 4.2**' in line]
    assert row == ('| ActionDiff | ours | 29.0 | **28.0 ± 4.2** | +7.0 ± 2.0 '
                   '| 17 % | 50.0 ± 0.0 | 33.0 ± 4.2 |')
    assert text.index('| ActionDiff |') < text.index('| Base branch |')
    assert '```bash\na command\n```' in text
    assert 'Protocol `seconds`: 2 videos, 3 instances' in text
    assert ('**+7.00 ± 2.00** (standard error; 2 seeds); '
            'by tIoU: 0.50 +7.0 ± 2.0') in text
    assert '1.50 M' in text and 'supervised (seeds [1])' in text


def test_descriptions_are_merged():
    merged = report_tool.merged
    both = merged([dict(cores=2, cpu='a'), dict(cores=4, cpu='a')])
    assert both == dict(cores='2 / 4', cpu='a')
    # with that of an earlier report
    assert merged([dict(cores=2, cpu='b'), both]) == dict(
        cores='2 / 4', cpu='a / b')
    assert merged([dict(cores=2)]) == dict(cores=2)


@pytest.mark.parametrize('bad, reason', [
    (['--jobs', '0'], 'must be >= 1'),
    (['--jobs', '-2'], 'must be >= 1'),
    (['--seeds', '-1'], 'must be >= 0'),
])
def test_bad_options(bad, reason, capsys):
    with pytest.raises(SystemExit) as error:
        tool.parse_args(['plan.py', *bad])
    assert error.value.code == 2 and reason in capsys.readouterr().err


@pytest.mark.parametrize('name', ['../../x', '.hidden', 'a/b', 'a b', ''])
def test_entries_stay_in_the_folder(name, root, tmp_path):
    path = tmp_path / 'plan.py'
    path.write_text(f"_base_ = ['{root}/configs/benchmarks/demo.py']\n"
                    f"entries = {{{name!r}: dict(config='x', family='ours', "
                    "label='x')}\n")
    with pytest.raises(UsageError, match='name a folder below --work-dir'):
        load_plan(str(path))


def test_plan_of_one_config(root, tmp_path):
    """Several seeds of one model, without writing a plan."""
    bench = load_plan(str(root / 'configs/actiondiff_demo.py'))
    assert bench.main_metric == 'det/mAP@0.10:0.70'
    plan = Plan(bench, tmp_path, [0, 1])
    assert [run.name for run in plan.runs.values()] == 2 * ['actiondiff_demo']
    first, second = plan.runs.values()
    assert first.folder.parent == tmp_path / 'actiondiff_demo/actiondiff_demo'
    assert first.key != second.key
    report = report_tool.summarise(
        bench, dict(actiondiff_demo={
            0: a_result(25.),
            1: a_result(31.)
        }), [0, 1])
    assert '**28.0 ± 4.2**' in report_tool.markdown(bench, report)
    with pytest.raises(UsageError, match='no DetectionMAP'):
        load_plan(str(root / 'configs/baselines/bmn_demo.py'))
    with pytest.raises(UsageError, match='none.py does not exist'):
        load_plan('none.py')


# -- Nothing lost -------------------------------------------------------------


def a_run(folder, name, source=None):
    return Run(name, 0, name * 64, folder, Config({}), 'det/mAP', source)


def test_two_benchmarks_in_a_folder(root, tmp_path, capsys):
    """The second one leaves all as it is; one that is killed frees the
    folder."""
    (tmp_path / 'demo').mkdir()
    other = subprocess.Popen([
        sys.executable, '-c', 'import sys\nfrom filelock import FileLock\n'
        f'with FileLock({str(tmp_path / "demo/.lock")!r}):\n'
        '    print("works", flush=True)\n    sys.stdin.read()'
    ],
                             stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE)
    assert other.stdout.readline() == b'works\n'
    command = [
        str(root / 'configs/benchmarks/demo.py'), '--work-dir',
        str(tmp_path)
    ]
    with pytest.raises(SystemExit, match='another benchmark works in'):
        tool.main(command)
    assert [path.name for path in tmp_path.rglob('*')] == ['demo', '.lock']
    other.kill()
    other.communicate()
    _, plan = make_plan(root, tmp_path, 'demo')
    with plan.locked():
        with pytest.raises(ValueError, match='another benchmark works in'):
            with plan.locked():
                raise AssertionError
    with plan.locked():
        pass


def write_script(path, text):
    path.write_text(text)
    return str(path)


def test_a_failure_stops_no_other_run(tmp_path, capsys, monkeypatch):
    script = write_script(
        tmp_path / 'script.py', "import sys\nif sys.argv[1][-1] != '4':\n"
        "    sys.exit('it is broken')\n"
        "with open(sys.argv[1] + '/result.json', 'w') as file:\n"
        """    file.write('{"metrics": {"det/mAP": 12.3}}')\n""")
    monkeypatch.setattr(pool_tool, 'SCRIPT', script)
    runs = [a_run(tmp_path / '1', 'a')]
    runs.append(a_run(tmp_path / '2', 'b', runs[0]))
    runs.append(a_run(tmp_path / '3', 'c'))
    runs.append(a_run(tmp_path / '4', 'd'))
    pool = pool_tool.Pool(runs, 2)
    pool.work()
    assert {run.name for run in pool.failed} == {'a', 'b', 'c'}
    output = capsys.readouterr().out
    assert output.count('FAILED: exit status 1') == 2
    assert 'b seed 0 FAILED: it builds on a seed 0' in output
    assert '| it is broken' in output and not (tmp_path / '2').exists()
    assert 'd seed 0: 12.30' in output


STARTER = """
import sys
from pathlib import Path
sys.path.insert(0, {root!r})
from mmaction_actiondiff import cli
from benchmarks import pool
from benchmarks.benchmark import run_plans
from benchmarks.plan import Config, Run
from types import SimpleNamespace
pool.SCRIPT = {script!r}
run = Run('a', 0, 'k', Path({folder!r}), Config({{}}), 'm')
plan = SimpleNamespace(wanted=[run], bench=SimpleNamespace(name='made'))
with cli.command():
    run_plans([plan], 1)
"""
WORKER = """
import os, subprocess, sys, threading, time
from pathlib import Path
sys.path.insert(0, {root!r})
from benchmarks.run import end_with_starter
threading.Thread(target=end_with_starter, daemon=True).start()
child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(99)'])
Path({pids!r}).write_text(f'{{os.getpid()}} {{child.pid}}')
time.sleep(99)
"""


def is_running(pid):
    try:
        state = Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2]
    except FileNotFoundError:
        return False
    return state.split()[0] != 'Z'


@pytest.mark.skipif(not Path('/proc').is_dir(), reason='needs /proc')
def test_no_training_outlives_the_tool(root, tmp_path):
    """Nor does what a training has started, such as loaders of data."""
    statuses = dict(SIGKILL=-9, SIGTERM=143, SIGINT=130)
    started = {}
    for number in statuses:  # all at once: each has to import torch
        folder = tmp_path / number
        folder.mkdir()
        script = write_script(
            folder / 'worker.py',
            WORKER.format(root=str(root), pids=str(folder / 'pids')))
        starter = write_script(
            folder / 'starter.py',
            STARTER.format(
                root=str(root), folder=str(folder / 'run'), script=script))
        started[number] = subprocess.Popen([sys.executable, starter],
                                           stdout=subprocess.DEVNULL,
                                           stderr=subprocess.DEVNULL)
    limit = time.monotonic() + 120
    for number, process in started.items():
        pids = tmp_path / number / 'pids'
        while not (pids.is_file() and len(pids.read_text().split()) == 2):
            assert time.monotonic() < limit and process.poll() is None
            time.sleep(0.05)
        children = [int(pid) for pid in pids.read_text().split()]
        assert all(map(is_running, children))
        process.send_signal(getattr(signal, number))
        assert process.wait(30) == statuses[number]
        while any(map(is_running, children)):
            assert time.monotonic() < limit + 60, 'a process has been left'
            time.sleep(0.05)


def test_publishing_loses_no_rows(root, tmp_path, monkeypatch):
    _, plan = make_plan(root, tmp_path / 'work', 'demo')
    results = dict(base={0: a_result(20.)}, cola={0: a_result(19.)})
    monkeypatch.setattr(Plan, 'results', lambda self: results)
    out = tmp_path / 'docs'

    def report(*options):
        tool.write_report(
            plan,
            tool.parse_args([
                str(root / 'configs/benchmarks/demo.py'), '--seeds', '0', '0',
                '--entries', 'base', '--jobs', '2', '--work-dir', 'a/b',
                *options, '--cfg-options', 'train_cfg.max_iters=4',
                'data_root=/some/where'
            ]))

    report()
    assert not out.exists() and (plan.folder / 'demo.md').is_file()
    report('--publish', str(out))
    before = json.loads((out / 'demo.json').read_text())
    # what decides the numbers
    assert before['command'] == (
        'python tools/benchmark.py configs/benchmarks/demo.py --entries base '
        '--seeds 0 --cfg-options train_cfg.max_iters=4 data_root=DIR')
    del results['cola']
    with pytest.raises(UsageError, match=r"seeds of \['cola'\]"):
        report('--publish', str(out))
    assert json.loads((out / 'demo.json').read_text()) == before
    assert 'cola' not in json.loads(
        (plan.folder / 'demo.json').read_text())['entries']


# -- All of it ----------------------------------------------------------------


def write_benchmark(root, path, **base_options):
    keep = ('actiondiff', 'base')
    names = Config.fromfile(root / 'configs/benchmarks/demo.py').entries
    entries = {name: None for name in names if name not in keep}
    entries['base'] = dict(options=base_options)
    path.write_text(
        f"_base_ = ['{root}/configs/benchmarks/demo.py']\n"
        f"entries = {entries!r}\ncompare = [('actiondiff', 'base')]\n")


@pytest.mark.slow
def test_benchmark_by_command(root, tmp_path, demo_root):
    config = tmp_path / 'quick.py'
    write_benchmark(root, config)

    def run(*options, seeds=('0', '1'), status=0):
        done = subprocess.run([
            sys.executable, root / 'tools' / 'benchmark.py', config, '--seeds',
            *seeds, '--jobs', '2', '--work-dir', tmp_path / 'work', *options,
            '--cfg-options', f'data_root={demo_root}', 'train_cfg.max_iters=4',
            'train_cfg.val_interval=2', 'default_hooks.checkpoint.interval=2',
            'default_hooks.logger.interval=1'
        ],
                              cwd=tmp_path,
                              env=dict(os.environ, OMP_NUM_THREADS='1'),
                              capture_output=True,
                              text=True)
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout

    def stamps():
        return {
            str(path.parent.relative_to(tmp_path / 'work' / 'quick')):
            path.stat().st_mtime_ns
            for path in (tmp_path / 'work').glob('*/*/*/result.json')
        }

    publish = '--publish', tmp_path / 'out'
    assert 'quick: 4 runs, 0 finished before' in run(*publish)
    first = stamps()
    assert len(first) == 4
    report = json.loads((tmp_path / 'out' / 'quick.json').read_text())
    assert report['protocol'] == 'seconds' and report['num_videos'] == 50
    assert str(tmp_path) not in json.dumps(report)
    for name, family in (('actiondiff', 'ours'), ('base', 'wtal')):
        entry = report['entries'][name]
        assert entry['family'] == family and entry['seeds'] == [0, 1]
        assert len(entry['average']) == 2 and min(entry['average']) >= 0
        assert len(entry['mAP']) == 7
        assert set(entry['AR@AN']) == {'1', '5', '10', '100'}
        assert entry['iteration'] == 4 and entry['parameters'] > 10000
        for cost in ('train_seconds', 'inference_ms', 'peak_memory_mb'):
            assert entry[cost]['mean'] > 0
        assert entry['best_on_test']['mean'] >= entry['mean']
    assert '| ActionDiff | ours |' in (tmp_path / 'out' /
                                       'quick.md').read_text()

    # the test finds what the last validation found
    work = tmp_path / 'work' / 'quick'
    folder, = work.glob('base/seed_1-*')
    result = json.loads((folder / 'result.json').read_text())
    assert list(result['history']) == ['2', '4']
    key = 'det/mAP@0.10:0.70'
    average = report['entries']['base']['average'][1]
    assert result['metrics'][key] == average
    assert result['history']['4'][key] == pytest.approx(average, abs=1e-3)

    # finished runs are kept; an interrupted one goes on, and finds the same
    (folder / 'result.json').unlink()
    (folder / 'train' / 'iter_4.pth').unlink()
    assert run().count('starts') == 1
    second = stamps()
    assert [name for name in first
            if second[name] != first[name]] == [str(folder.relative_to(work))]
    assert 'resumed epoch: 0, iter: 2' in (folder / 'log.txt').read_text()
    again = json.loads((folder / 'result.json').read_text())
    assert again['metrics'] == result['metrics']

    # a changed option trains its entry only, beside what is finished; a
    # failure stops no other run
    write_benchmark(root, config, **{'model.type': 'Nothing'})
    output = run(seeds=('0', ), status=1)
    assert 'base seed 0 FAILED: exit status 1' in output
    assert 'Nothing' in output and 'closest' in output
    assert stamps() == second
    report = json.loads((work / 'quick.json').read_text())
    assert list(report['entries']) == ['actiondiff']
    assert report['missing'] == ['base']
    report = json.loads((tmp_path / 'out' / 'quick.json').read_text())
    assert list(report['entries']) == ['actiondiff', 'base']
    assert report['machine'].keys() == {
        'cpu', 'cpu_count', 'threads', 'device'
    }


# -- Transfer -----------------------------------------------------------------


def test_transfer_table(root, tmp_path):
    """Gains by set, paired by seed; their mean and the worst set."""
    bench, _ = make_plan(root, tmp_path, 'demo')

    def report(**averages):
        return report_tool.summarise(
            bench, {
                name: {
                    seed: a_result(value)
                    for seed, value in enumerate(values)
                }
                for name, values in averages.items()
            }, [0, 1])

    found = transfer.compare(
        dict(
            demo=report(
                base=[20., 22.],
                control=[24., 27.],
                actiondiff=[25., 31.],
                supervised=[45., 49.]),
            hapt=report(base=[30., 30.], actiondiff=[29., 29.])))
    demo, hapt = found['sets'].values()
    assert demo['over_base']['mean'] == 7
    assert demo['over_base']['standard_error'] == pytest.approx(2.)
    assert demo['over_control']['mean'] == 2.5
    assert demo['share_of_gap'] == pytest.approx(100 * 7 / 26)
    assert hapt['over_control'] is None and hapt['share_of_gap'] is None
    assert found['mean']['over_base'] == 3
    assert found['worst']['over_base'] == dict(set='hapt', value=-1)
    text = transfer.markdown(
        dict(
            found,
            seeds=[0, 1],
            command='a command',
            missing=['shrec21'],
            machine=MACHINE,
            versions=dict(torch='2')))
    assert ('| demo | 2 | 2 | 21.0 ± 1.4 | 25.5 ± 2.1 | 28.0 ± 4.2 | 47.0 ± '
            '2.8 | +7.0 ± 2.0 | +2.5 ± 1.5 | 27 % |') in text
    assert '| **-1.0** (hapt) | **+2.5** (demo) |' in text
    assert 'Not finished: shrec21.' in text
    assert 'some cpu, 2 cores, 1 thread per run, device cpu. torch 2.' in text


def test_transfer_shares_the_runs_of_the_plans(root, tmp_path, monkeypatch):
    """What tools/benchmark.py has finished is not trained again."""
    plans, asked = [], []

    def run_plans(made, jobs):
        plans.extend(made)
        asked.append(jobs)
        return True

    monkeypatch.setattr(transfer, 'run_plans', run_plans)
    assert not transfer.main([
        '--sets', 'demo', 'demo_thumos14_half', '--seeds', '0', '--jobs', '2',
        '--work-dir',
        str(tmp_path)
    ])
    assert asked == [2]
    _, plan = make_plan(root, tmp_path, 'demo')
    assert {
        run.name: run.key
        for run in plans[0].wanted
    } == {
        run.name: run.key
        for run in plan.runs.values() if run.name in transfer.ENTRIES
    }
    half = plans[1].runs['actiondiff', 0].config
    assert half.train_dataloader.dataset.planted.length_scale == 0.5
    assert half.test_dataloader.dataset.data_root.endswith('_half')
    report = json.loads((tmp_path / 'transfer.json').read_text())
    assert report['command'] == (
        'python -m benchmarks.transfer --sets demo demo_thumos14_half '
        '--seeds 0')
    assert report['missing'] == ['demo', 'demo_thumos14_half']
