"""tools/benchmark.py: what it runs, resumes, computes and writes."""
from __future__ import annotations

import argparse
import importlib
import json
import os
import subprocess
import sys

import pytest
from mmengine.config import Config

tool = importlib.import_module('benchmark')
report_tool = importlib.import_module('_benchmark_report')

BENCHMARKS = ('shrec21', 'demo', 'demo_thumos14', 'thumos14', 'activitynet12',
              'activitynet13')
ABLATIONS = ('ablation_shrec21', 'ablation_demo')


def make_plan(root, tmp_path, name, **changes):
    bench = tool.load_benchmark(
        str(root / 'configs' / 'benchmarks' / f'{name}.py'))
    args = dict(
        seeds=[0],
        entries=None,
        work_dir=str(tmp_path),
        data_root=None,
        cfg_options={})
    return bench, tool.Plan(bench, argparse.Namespace(**{**args, **changes}))


@pytest.mark.parametrize('name', BENCHMARKS + ABLATIONS)
def test_plan(root, tmp_path, name):
    bench, plan = make_plan(root, tmp_path, name)
    assert {'actiondiff', 'base', 'control'} <= set(bench.entries)
    assert ('supervised' in bench.entries) == (name in BENCHMARKS)
    keys = {run.key for run in plan.runs.values()}
    assert len(keys) == len(plan.runs) == len(bench.entries)
    order = list(plan.runs.values())
    for i, run in enumerate(order):
        assert all(other in order[:i] for other in run.needs)
        assert run.commands[-1][0] == 'tools/measure.py'
        for cfg in run.configs.values():
            assert cfg.randomness.seed == 0
    # what is judged with other settings is not trained again
    trained = [run.name for run in order if not run.trained]
    assert trained == dict(
        ablation_shrec21=[
            'one_step', 'samples', 'pad', 'min_length', 'attention_thrs'
        ],
        ablation_demo=[
            'test_none', 'test_suppress', 'test_diffusion', 'one_step',
            'one_sample', 'samples', 'pad', 'min_length'
        ]).get(name, [])


def test_plan_follows_what_matters(root, tmp_path):
    _, plan = make_plan(root, tmp_path, 'demo')
    _, moved = make_plan(
        root, tmp_path / 'elsewhere', 'demo', entries=['tcanet'])
    assert {
        k: r.key
        for k, r in plan.runs.items()
    } == {
        k: r.key
        for k, r in moved.runs.items()
    }
    assert [r.name for r in moved.wanted] == ['base', 'bmn', 'tcanet']
    _, other = make_plan(
        root, tmp_path, 'demo', cfg_options={'train_cfg.max_iters': 7})
    assert not ({r.key
                 for r in plan.runs.values()}
                & {r.key
                   for r in other.runs.values()})
    assert other.runs['base', 0].checkpoint.name == 'iter_7.pth'
    with pytest.raises(ValueError, match=r"not \['nobody'\]"):
        make_plan(root, tmp_path, 'demo', entries=['nobody'])


def test_entries_share_the_protocol(root, tmp_path):
    bench, plan = make_plan(root, tmp_path, 'demo')
    bench.protocol = 'anet'
    with pytest.raises(ValueError, match="judged by 'seconds'.*by 'anet'"):
        plan.check_protocol('base', plan.runs['base', 0].configs['train'])


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
    assert report_tool.share_of_gap(25, 20, 40) == 25
    assert report_tool.share_of_gap(15, 20, 40) == -25
    assert report_tool.share_of_gap(25, 40, 40) is None


def a_result(average, iteration=4, **metrics):
    return dict(
        key='',
        iteration=iteration,
        metrics={
            'det/mAP@0.50': average + 1,
            'det/mAP@0.10:0.70': average,
            'proposal/AR@100': 50.,
            'co2/mAP@0.10:0.70': average + 2,
            **metrics
        },
        history={
            '2': average + 5,
            '4': average
        },
        protocol=dict(
            name='seconds', num_videos=2, num_gt=3, settings=dict(a=1)),
        parameters=1500000,
        inference_ms=2.,
        train_seconds=10.,
        peak_memory_mb=100.,
        peak_gpu_memory_mb=None,
        machine=dict(cpu_count=2, threads=1, device='cpu'),
        versions=dict(python='3.11'))


def test_report(root, tmp_path):
    bench = tool.load_benchmark(
        str(root / 'configs' / 'benchmarks' / 'demo.py'))
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
        tcanet={0: a_result(1.)})
    results['supervised'][0]['versions'] = dict(python='3.12')
    # no class-aware metric there
    del results['tcanet'][0]['metrics']['det/mAP@0.10:0.70']
    report = report_tool.summarise(bench, results, [0, 1])
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
    assert report['entries']['tcanet']['average'] == []
    assert report['entries']['tcanet']['AR@AN'] == {
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
    assert 'Protocol `seconds`: 2 videos, 3 instances' in text
    assert ('**+7.00 ± 2.00** (standard error; 2 seeds); '
            'by tIoU: 0.50 +7.0 ± 2.0') in text
    assert '1.50 M' in text and 'supervised (seeds [1])' in text
    report_tool.chart(bench, report, tmp_path / 'chart.png')
    assert (tmp_path / 'chart.png').stat().st_size > 10000


def test_rows_of_an_earlier_report_are_kept(root):
    bench = tool.load_benchmark(
        str(root / 'configs' / 'benchmarks' / 'demo.py'))
    before = report_tool.summarise(
        bench,
        dict(
            actiondiff={0: a_result(25.)},
            base={0: a_result(20.)},
            cola={0: a_result(19.)}), [0])
    before = json.loads(json.dumps(before))
    new = dict(actiondiff={0: a_result(30.)}, control={0: a_result(28.)})
    new['actiondiff'][0]['versions'] = dict(python='3.12')
    report = report_tool.summarise(bench, new, [0], before)
    assert report['kept'] == ['base', 'cola']
    assert report['entries']['cola'] == before['entries']['cola']
    assert report['entries']['actiondiff']['minus_base']['mean'] == 10
    assert [d['mean'] for d in report['differences']] == [10, 2]
    assert report['versions'] == dict(python='3.11 / 3.12')
    assert 'control' not in report['missing']
    text = report_tool.markdown(bench, report)
    assert 'not trained again: "Base branch", "CoLA style".' in text
    # nothing is kept where all was run, nor without being asked for
    assert not report_tool.summarise(bench, new, [0])['kept']
    # nor is a row given up for a part of its seeds
    partly = report_tool.summarise(bench, new, [0, 1], before)
    assert partly['entries']['actiondiff']['average'] == [25.]
    assert 'actiondiff' in partly['kept']
    before['num_videos'] = 3
    with pytest.raises(ValueError, match='num_videos=3, the runs 2'):
        report_tool.summarise(bench, new, [0], before)


def test_descriptions_are_merged():
    merged = report_tool.merged
    both = merged([dict(cores=2, cpu='a'), dict(cores=4, cpu='a')])
    assert both == dict(cores='2 / 4', cpu='a')
    # with that of an earlier report
    assert merged([dict(cores=2, cpu='b'), both]) == dict(
        cores='2 / 4', cpu='a / b')
    assert merged([dict(cores=2)]) == dict(cores=2)


def test_rows_to_keep_must_be_there(root, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, 'argv', [
        'benchmark.py',
        str(root / 'configs/benchmarks/demo.py'), '--keep-rows', '--out',
        str(tmp_path)
    ])
    with pytest.raises(SystemExit, match='demo.json, which is not there'):
        tool.main()


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
            *seeds, '--jobs', '2', '--work-dir', tmp_path / 'work',
            '--data-root', demo_root, '--out', tmp_path / 'out', *options,
            '--cfg-options', 'train_cfg.max_iters=4',
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

    assert 'quick: 4 runs, 0 finished before' in run()
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
    assert (tmp_path / 'out' / 'quick.png').is_file()

    # the test of the checkpoint finds what the last validation found
    folder = tmp_path / 'work' / 'quick' / 'base' / 'seed_1'
    measured = json.loads((folder / 'measured_train.json').read_text())
    assert measured['metrics']['det/mAP@0.10:0.70'] == pytest.approx(
        report['entries']['base']['average'][1], abs=1e-3)

    # nothing is left to do
    assert 'starts' not in run()
    assert stamps() == first

    # an interrupted run goes on, and finds the same
    result = json.loads((folder / 'result.json').read_text())
    (folder / 'result.json').unlink()
    (folder / 'train' / 'iter_4.pth').unlink()
    assert run().count('starts') == 1
    assert 'resumed epoch: 0, iter: 2' in (folder / 'log.txt').read_text()
    again = json.loads((folder / 'result.json').read_text())
    assert again['metrics'] == result['metrics']

    # a changed option concerns its entry only; a failure stops no other run
    second = stamps()
    write_benchmark(root, config, **{'model.type': 'Nothing'})
    output = run(seeds=('0', ), status=1)
    assert 'base seed 0 FAILED: exit status 1' in output
    assert 'Nothing is not in the' in output
    second.pop('base/seed_0')
    assert stamps() == second
    report = json.loads((tmp_path / 'out' / 'quick.json').read_text())
    assert list(report['entries']) == ['actiondiff']
    assert report['missing'] == ['base']
