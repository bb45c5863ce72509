"""tools/evaluate.py as a user runs it."""
import json
import runpy
import sys

import pytest


@pytest.fixture
def run(root, monkeypatch, capsys):
    """Runs the tool; returns what it printed, or the error it ends with."""

    def run(*args):
        tool = str(root / 'tools' / 'evaluate.py')
        monkeypatch.setattr(sys, 'argv', [tool, *args])
        try:
            runpy.run_path(tool, run_name='__main__')
        except SystemExit as error:
            assert isinstance(error.code, str)  # Python prints it, exits 1
            return error.code
        return capsys.readouterr().out

    return run


@pytest.fixture
def files(tmp_path):
    annotations = [dict(label='x', segment=[0, 4])]
    (tmp_path / 'annotations.json').write_text(
        json.dumps(
            dict(
                database=dict(
                    a=dict(subset='test', annotations=annotations),
                    b=dict(subset='test', annotations=annotations)))))
    (tmp_path / 'detections.json').write_text(
        json.dumps(
            dict(
                results=dict(
                    a=[dict(label='x', segment=[0, 3], score=.9)],
                    z=[dict(label='x', segment=[0, 3], score=.8)]))))
    return [
        '--detections',
        str(tmp_path / 'detections.json'), '--ann-file',
        str(tmp_path / 'annotations.json')
    ]


def test_numbers_and_parts(run, files, tmp_path):
    out = tmp_path / 'out.json'
    printed = run(*files, '--protocol', 'seconds', '--exclude', 'b',
                  '--tiou-thrs', '0.5', '0.75', '0.8', '--averages',
                  '0.5:0.75', '0.5:0.8', '--seconds-per-snippet', '1',
                  '--subset', 'test', '--json', str(out))
    assert '1 videos, 1 instances, 1 detections' in printed
    content = json.loads(out.read_text())
    assert content['protocol'] == 'seconds'
    assert content['num_videos'] == content['num_gt'] == 1
    assert content['mAP'] == {'0.50': 100, '0.75': 100, '0.80': 0}
    assert content['average']['0.50:0.75'] == 100
    assert content['average']['0.50:0.80'] == pytest.approx(200 / 3)
    assert content['settings']['exclude'] == ['b']
    assert content['dropped_outside'] == 1


def test_error_names_the_file(run, files, tmp_path):
    (tmp_path / 'detections.json').write_text('{"results": {"z": []}}')
    error = run(*files)
    assert error.startswith('Error: ')
    assert 'detections.json: none of its 1 videos (such as z)' in error
    error = run(*files, '--averages', '0.1-0.7')
    assert 'averages are ranges like 0.1:0.7, got 0.1-0.7' in error
    files[1] += '.gone'
    assert 'detections.json.gone' in run(*files)


def test_ids_that_begin_with_a_dash(run, files, tmp_path):
    """As those of ActivityNet do."""
    for name in ('annotations', 'detections'):
        path = tmp_path / f'{name}.json'
        path.write_text(path.read_text().replace('"a"', '"-aBcDeFgHiJ"'))
    printed = run(*files, '--exclude', '-aBcDeFgHiJ', '--protocol', 'seconds')
    assert '1 videos, 1 instances, 0 detections' in printed
    error = run(*files, '--exclude', '--0edUL8zmA', '-jsonaQzJZd')
    assert 'not in the ground truth: --0edUL8zmA, -jsonaQzJZd' in error


def test_the_pictures_of_such_videos(root, monkeypatch):
    tool = runpy.run_path(str(root / 'tools/visualize.py'))
    monkeypatch.setattr(sys, 'argv', [
        'visualize.py', 'dump.npz', '--videos', '-aBcDeFgHiJ', '--0edUL8zmA',
        '--out', 'x'
    ])
    args = tool['parse_args']()
    assert args.videos == ['-aBcDeFgHiJ', '--0edUL8zmA']
    assert (args.dump, args.out) == ('dump.npz', 'x')


@pytest.mark.parametrize('options, words', [
    (['--seconds-per-snippet', '-1'], 'seconds_per_snippet must be > 0'),
    (['--tiou-thrs', 'nan'], 'tiou_thrs must be numbers in (0, 1]'),
    (['--tiou-thrs', '-0.5'], 'tiou_thrs must be numbers in (0, 1]'),
    (['--subset', 'train'], "no annotated segment in the subset 'train'"),
    (['--json', '/dev/null/out.json', '--detections', 'none'
      ], '/dev/null/out.json cannot be written'),
    (['--json', '.', '--detections', 'none'], 'is a folder; name a file'),
])
def test_refused_options(run, files, options, words):
    assert words in run(*files, *options)


def test_real_detections(run, shared_data, tmp_path):
    thumos = shared_data / 'thumos14'
    out = tmp_path / 'out.json'
    printed = run('--detections',
                  str(thumos / 'detections/co2net_test.json'), '--ann-file',
                  str(thumos / 'Thumos14reduced-Annotations'), '--json',
                  str(out))
    assert 'seconds212: 212 videos, 3358 instances' in printed
    average = json.loads(out.read_text())['average']
    assert average['0.10:0.70'] == pytest.approx(42.4, abs=0.1)
