"""The page about a run."""
from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from html import unescape
from html.parser import HTMLParser

import numpy as np
import pytest
import torch

from mmaction_actiondiff.dumps import save_dump
from mmaction_actiondiff.report import (cut_points, read_scalars,
                                        video_precision, write_report)

CLASSES = ['jump <b>', 'run']


def segments(*items) -> dict:
    """Fields of instances from (start, end, label[, score])."""
    fields = dict(
        segments=np.array([i[:2] for i in items], float).reshape(-1, 2),
        labels=np.array([i[2] for i in items], np.int64))
    if any(len(i) > 3 for i in items) or not items:
        fields['scores'] = np.array([i[3] for i in items], float)
    return fields


def sample(name, truth, found, length=20) -> dict:
    curve = np.linspace(0, 1, length * 2).reshape(length, 2)
    return dict(
        video_name=name,
        duration=length * .5,
        seconds_per_snippet=.5,
        gt_instances=segments(*truth),
        pred_instances=segments(*found),
        pred_snippets=dict(score=curve, attention=np.full(length, .5)))


GOOD = sample('good', [(1, 3, 0), (5, 8, 1)], [(1, 3, 0, .9), (5, 7, 1, .8),
                                               (1, 3, 0, .7), (9, 10, 0, .1)])
BAD = sample('<bad>', [(1, 3, 0)], [(1, 3, 1, .6), (4, 9, 0, .2)])


def test_cut_points_count_each_instance_once():
    points = cut_points([GOOD, BAD])
    np.testing.assert_array_equal(points['cut'], [.9, .8, .7, .6, .2, .1])
    right = 100 * np.array([1, 2, 2, 2, 2, 2])
    precision, recall = right / [1, 2, 3, 4, 5, 6], right / 3
    np.testing.assert_allclose(points['precision'], precision)
    np.testing.assert_allclose(points['recall'], recall)
    np.testing.assert_allclose(points['F1'], 2 / (1 / precision + 1 / recall))
    assert not len(cut_points([sample('x', [(1, 2, 0)], [])])['cut'])


def test_precision_of_one_video():
    assert video_precision(GOOD, 2) == 1
    assert video_precision(BAD, 2) == 0
    assert np.isnan(video_precision(sample('x', [], []), 2))


@pytest.fixture
def run(tmp_path):
    """A run that was resumed: its second log repeats a step."""
    for time, steps, scale in (('1', (1, 2, 3), 1), ('2', (3, 4), 2)):
        folder = tmp_path / time / 'vis_data'
        folder.mkdir(parents=True)
        lines = []
        for step in steps:
            lines.append(
                json.dumps(
                    dict(loss=scale * step, loss_mil=step, time=2.,
                         step=step)))
            if step != 1:
                lines.append(
                    json.dumps({
                        'det/mAP@0.50': 10. * step * scale,
                        'det/mAP@0.10:0.70': 5. * step,
                        'step': 0 if step == 2 else step
                    }))
        (folder / 'scalars.json').write_text('\n'.join(lines + ['{"lo']))
        (tmp_path / time /
         'x.log').write_text('INFO - \n' + '-' * 60 + '\nSystem environment:\n'
                             f'    Python: 3.{time}\n' + '-' * 60 + '\n\nmore')
    (tmp_path / 'mine.py').write_text(
        "val_evaluator = dict(protocol='seconds', type='DetectionMAP')\n"
        "name = '<&>'\n")
    return tmp_path


def test_newest_log_of_a_step_counts(run):
    train, val = read_scalars(run)
    assert [(r['step'], r['loss']) for r in train] == [(1, 1), (2, 2), (3, 6),
                                                       (4, 8)]
    assert [(r['step'], r['det/mAP@0.50']) for r in val] == [(2, 20), (3, 60),
                                                             (4, 80)]


def test_what_was_logged_after_a_resumed_step_is_gone(run):
    """Resumed from the second of four steps, and stopped after the third."""
    for number, steps in ((1, (1, 2, 3, 4)), (2, (3, ))):
        lines = [dict(loss=number, time=1., step=step) for step in steps]
        lines.append({'det/mAP@0.50': 1. * number, 'step': steps[-1]})
        (run / f'{number}/vis_data/scalars.json').write_text('\n'.join(
            map(json.dumps, lines)))
    train, val = read_scalars(run)
    assert [(r['step'], r['loss']) for r in train] == [(1, 1), (2, 1), (3, 2)]
    assert [r['step'] for r in val] == [3]


def test_other_metrics_before_a_resume_are_left_out(run):
    path = run / '2/vis_data/scalars.json'
    rows = [dict(loss=1, time=1., step=3), {'det/mAP@0.70': 7., 'step': 4}]
    path.write_text('\n'.join(map(json.dumps, rows)))
    text = ' '.join(Page(write_report(run).read_text()).text.split())
    assert 'iteration @0.70 4 7.0' in text and 'evaluated 1 times' in text


def test_page_is_of_the_last_training(run):
    """Of another config, which logs seldom, and by labels alone."""
    (run / 'a_earlier.py').write_text('x = 1')
    os.utime(run / 'a_earlier.py', (0, 0))
    rows = [
        dict(loss=1, loss_mil=1, time=1., step=7), {
            'label/video_AP': 81.2,
            'label/selection': 40.4,
            'step': 9
        }
    ]
    for number in (1, 2):
        (run / f'{number}/vis_data/scalars.json').write_text('\n'.join(
            map(json.dumps, rows)))
    text = ' '.join(Page(write_report(run).read_text()).text.split())
    assert text.startswith('mine')
    for words in ('9 training iterations', 'By the labels of the held-out',
                  'iteration video_AP selection 9 81.2 40.4'):
        assert words in text, words


class Page(HTMLParser):
    """What a reader sees, and whether every tag is closed."""
    VOID = {'meta', 'br', 'use'}

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []
        self.text = ''
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.links += [
            v for k, v in attrs if k in ('src', 'href', 'xlink:href')
        ]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.links += [
            v for k, v in attrs if k in ('src', 'href', 'xlink:href')
        ]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data + ' '


def test_page_says_what_the_run_did(run):
    save_dump(run / 'p.npz', [GOOD, BAD], CLASSES)
    path = write_report(run)
    assert path == run / 'report.html'
    page = Page(path.read_text())
    text = ' '.join(page.text.split())
    # nothing but parts of the page itself
    assert all(link.startswith('#') for link in page.links)
    for words in ('mine', '4 training iterations', 'Protocol seconds', '80.0',
                  'score of at least 0.80', 'good mAP 100 %', '<bad> mAP 0 %',
                  'jump <b>: 1.0 to 3.0 s, score 0.90',
                  'ground truth run: 5.0 to 8.0 s', "name = '<&>'",
                  'Python: 3.2', 'loss_mil',
                  '0.80 (best F1) 2 100 % 67 % 80 %'):
        assert words in text, words
    assert 'score 0.70' not in text  # below the cut


def test_a_cut_stands_in_the_table_once(run):
    """The best is rounded as the others are."""
    truth = [(1, 3, 0), (5, 8, 0), (9, 10, 0)]
    found = [(1, 3, 0, .9), (5, 8, 0, .5), (9, 10, 0, .3049), (0, 1, 0, .1)]
    save_dump(run / 'p.npz', [sample('x', truth, found)], CLASSES)
    cells = re.findall(r'<td>(0\.30.*?)</td>', write_report(run).read_text())
    assert cells == ['0.30 (best F1)']


def test_page_without_predictions_says_how_to_get_them(run):
    torch.save({}, run / 'iter_4.pth')
    text = unescape(write_report(run, out=run / 'x.html').read_text())
    path = os.path.relpath(run)
    assert (f'tools/test.py {path}/mine.py {path}/iter_4.pth '
            f'--dump {path}/predictions_iter_4.npz\n' in text)
    assert f'tools/report.py {path}</pre>' in text


def test_page_of_unlabelled_videos(tmp_path):
    save_dump(
        tmp_path / 'p.npz',
        [dict(sample('only', [], [(1, 3, 0, .9)]), gt_instances=segments())],
        CLASSES)
    page = Page(write_report(tmp_path).read_text())
    assert 'none with annotated segments' in page.text
    assert 'score 0.90' in page.text and 'was not evaluated' in page.text


def test_page_of_one_annotated_video(run):
    save_dump(run / 'p.npz', [GOOD], CLASSES)
    text = Page(write_report(run).read_text()).text
    assert 'Best' in text and 'Worst' not in text


def test_nothing_to_report(tmp_path):
    with pytest.raises(FileNotFoundError, match='no such folder of a run'):
        write_report(tmp_path / 'none')
    with pytest.raises(FileNotFoundError, match='expected the logs'):
        write_report(tmp_path)


@pytest.mark.skipif(not shutil.which('chromium'), reason='needs chromium')
@pytest.mark.parametrize('width', [1300, 400])
def test_page_fits_the_window(run, tmp_path, width):
    """No part but the tables, which scroll, is wider than the window."""
    save_dump(run / 'p.npz', [GOOD, BAD], CLASSES)
    path = write_report(run)
    path.write_text(path.read_text().replace(
        '</body>', '<script>document.title = document.documentElement'
        '.scrollWidth + "/" + innerWidth</script></body>'))
    html = subprocess.run([
        'chromium', '--headless', '--no-sandbox', '--disable-gpu',
        f'--user-data-dir={tmp_path}/profile', f'--window-size={width},800',
        '--dump-dom', f'file://{path}'
    ],
                          capture_output=True,
                          text=True,
                          timeout=120).stdout
    content, window = map(
        int,
        re.search(r'<title>(\d+)/(\d+)</title>', html).groups())
    assert content <= window
