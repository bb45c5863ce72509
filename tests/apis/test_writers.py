"""Results in the formats of others."""
from __future__ import annotations

import csv
import io
import json

import numpy as np
import pytest

from mmaction_actiondiff.apis import writers


@pytest.fixture
def predictions():
    return [
        dict(
            video_name='a',
            segments=[
                dict(label='run, far', score=.9, segment=[3661.5, 3700.0004]),
                dict(label='x --> <i>', score=.2, segment=[0., 1.9996])
            ]),
        dict(video_name='b', segments=[])
    ]


def test_json_is_a_submission(predictions, tmp_path):
    path = str(tmp_path / 'new' / 'r.json')
    assert writers.write_predictions(path, predictions) == [path]
    content = json.load(open(path))
    assert set(content) == {'version', 'results', 'external_data'}
    assert content['results'] == dict(a=predictions[0]['segments'], b=[])


def test_samples_of_a_test(predictions, tmp_path):
    sample = dict(
        video_name='a',
        pred_instances=dict(
            segments=np.array([[3661.5, 3700.0004], [0., 1.9996]]),
            labels=np.array([1, 0]),
            scores=np.array([.9, .2])))
    path = str(tmp_path / 'r.json')
    writers.write_samples(path, [sample], ('x --> <i>', 'run, far'))
    assert json.load(
        open(path))['results'] == dict(a=predictions[0]['segments'])


def test_csv_has_a_line_per_segment(predictions):
    rows = list(csv.DictReader(io.StringIO(writers.to_csv(predictions))))
    assert len(rows) == 2
    assert rows[0] == dict(
        video='a',
        start='3661.500',
        end='3700.000',
        label='run, far',
        score='0.9000')


def test_subtitles_are_in_order_of_time(predictions):
    assert writers.to_srt(predictions[:1]) == (
        '1\n00:00:00,000 --> 00:00:02,000\nx → ‹i> (0.20)\n\n'
        '2\n01:01:01,500 --> 01:01:40,000\nrun, far (0.90)\n')
    assert writers.to_vtt(predictions[:1]) == (
        'WEBVTT\n\n00:00:00.000 --> 00:00:02.000\nx → ‹i> (0.20)\n\n'
        '01:01:01.500 --> 01:01:40.000\nrun, far (0.90)\n')


def test_one_file_of_each_video(predictions, tmp_path):
    files = writers.write_predictions(
        str(tmp_path / '{video}.vtt'), predictions)
    assert files == [str(tmp_path / 'a.vtt'), str(tmp_path / 'b.vtt')]
    assert (tmp_path / 'b.vtt').read_text('utf-8') == 'WEBVTT\n'


def test_names_that_cannot_take_the_results():
    with pytest.raises(ValueError, match='expected a name that ends in .json'):
        writers.check_output('x.xml', 1)
    with pytest.raises(ValueError, match=r'put \{video\} into the name'):
        writers.check_output('x.srt', 2)
    writers.check_output('x.srt', 1)


def test_selection_keeps_the_best(predictions):
    assert writers.select(predictions[0],
                          .5)['segments'] == predictions[0]['segments'][:1]
    assert len(writers.select(predictions[0], 0., 1)['segments']) == 1
