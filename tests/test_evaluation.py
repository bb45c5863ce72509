"""Evaluation: average precision, protocols, readers and metrics."""
from __future__ import annotations

import json

import mmengine.evaluator.metric
import numpy as np
import pytest
import torch
from mmaction.registry import METRICS
from mmaction.structures import ActionDataSample
from mmengine.evaluator import Evaluator
from mmengine.structures import InstanceData

from mmaction_actiondiff.evaluation import (Detections, GroundTruth, Instances,
                                            Protocol, average_precision,
                                            evaluate, make_protocol,
                                            read_detections, read_ground_truth,
                                            temporal_iou)

THRS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)


def plain_ap(truth: Instances, found: Instances, num_classes: int, thrs,
             interpolated: bool) -> np.ndarray:
    """An independent evaluator: one detection after the other."""
    ap = np.full((len(thrs), num_classes), np.nan)
    for label in range(num_classes):
        instances = [(v, s, e) for v, (s, e), c in zip(truth.videos.tolist(
        ), truth.segments.tolist(), truth.labels.tolist()) if c == label]
        by_video: dict = {}
        for number, (video, *_) in enumerate(instances):
            by_video.setdefault(video, []).append(number)
        rows = [(-p, i, v, s, e) for i, (v, (s, e), c, p) in enumerate(
            zip(found.videos.tolist(), found.segments.tolist(),
                found.labels.tolist(), found.scores.tolist())) if c == label]
        rows.sort(key=lambda row: row[:2])
        for k, thr in enumerate(thrs):
            if not instances:
                continue
            taken, hits, precisions = set(), 0, []
            recalls = []
            for rank, (_, _, video, start, end) in enumerate(rows, 1):
                best, best_iou = None, -1.
                for number in by_video.get(video, []):
                    _, first, last = instances[number]
                    inner = min(end, last) - max(start, first)
                    if number in taken or inner <= 0:
                        continue
                    iou = inner / ((end - start) + (last - first) - inner)
                    if iou >= thr and iou >= best_iou:
                        best, best_iou = number, iou
                if best is not None:
                    taken.add(best)
                    hits += 1
                precisions.append(hits / rank)
                recalls.append(hits / len(instances))
            total, previous = 0., 0.
            for i, recall in enumerate(recalls):
                if recall > previous:
                    total += (recall - previous) * (
                        max(precisions[i:]) if interpolated else precisions[i])
                    previous = recall
            ap[k, label] = total
    return ap


def instances(rows, scored=True) -> Instances:
    """Rows of video, label, start, end(, score)."""
    array = np.array(rows, dtype=float).reshape(-1, 5 if scored else 4)
    return Instances(array[:, 0].astype(int), array[:, 2:4],
                     array[:, 1].astype(int), array[:, 4] if scored else None)


def test_temporal_iou():
    first = np.array([[0., 4], [0, 4], [0, 4], [2, 2], [4, 0]])
    second = np.array([[2., 6], [0, 4], [4, 8], [0, 4], [0, 4]])
    np.testing.assert_allclose(
        temporal_iou(first, second), [1 / 3, 1, 0, 0, 0])


@pytest.mark.parametrize('interpolated, expected', [(True, 2 / 3),
                                                    (False, 7 / 12)])
def test_average_precision_by_hand(interpolated, expected):
    """Miss, hit, hit, with 2 instances: precisions 0, 1/2, 2/3."""
    truth = instances([(0, 0, 0, 10), (1, 0, 0, 10)], scored=False)
    found = instances([(0, 0, 20, 30, .9), (0, 0, 0, 10, .8),
                       (1, 0, 0, 9, .7)])
    ap = average_precision(truth, found, 1, [0.5], interpolated)
    assert ap[0, 0] == pytest.approx(expected)


def test_each_instance_is_found_once():
    truth = instances([(0, 0, 0, 10)], scored=False)
    found = instances([(0, 0, 0, 9, .8), (0, 0, 0, 10, .9)])
    # the better score has it, the closer comes too late or first
    assert average_precision(truth, found, 1, [0.5]) == 1
    found = instances([(0, 0, 0, 9, .8), (0, 0, 30, 40, .9),
                       (0, 0, 0, 10, .7)])
    assert average_precision(truth, found, 1, [0.5]) == 0.5


def test_second_choice_and_thresholds():
    """A detection whose best instance is taken gets the next at a low
    threshold, and none at a high one."""
    truth = instances([(0, 0, 0, 10), (0, 0, 8, 18)], scored=False)
    found = instances([(0, 0, 0, 10, .9), (0, 0, 2, 12, .8)])
    ap = average_precision(truth, found, 1, [0.2, 0.5])
    # (2, 12): 8/12 with the first, 4/16 with the second
    np.testing.assert_allclose(ap[:, 0], [1, 0.5])


def test_equal_overlaps_take_the_last_instance():
    """(5, 10) overlaps both by a half and takes the second, which (10, 15)
    would have needed."""
    truth = instances([(0, 0, 0, 10), (0, 0, 5, 15)], scored=False)
    found = instances([(0, 0, 5, 10, .9), (0, 0, 10, 15, .8)])
    assert average_precision(truth, found, 1, [0.5]) == 0.5
    truth = Instances(truth.videos, truth.segments[::-1], truth.labels)
    assert average_precision(truth, found, 1, [0.5]) == 1


def test_equal_scores_keep_their_order():
    truth = instances([(0, 0, 0, 10)], scored=False)
    hit, miss = (0, 0, 0, 10, .5), (0, 0, 20, 30, .5)
    assert average_precision(truth, instances([hit, miss]), 1, [0.5]) == 1
    assert average_precision(truth, instances([miss, hit]), 1, [0.5]) == 0.5


def test_degenerate_input():
    truth = instances([(0, 0, 5, 5), (0, 2, 0, 4)], scored=False)
    found = instances([(0, 0, 5, 5, .9), (0, 1, 0, 4, .8), (0, 2, 4, 0, .8)])
    ap = average_precision(truth, found, 3, [0.1])
    np.testing.assert_array_equal(ap, [[0, np.nan, 0]])
    nothing = average_precision(truth, instances([]), 3, [0.1])
    np.testing.assert_array_equal(nothing, ap)
    assert np.isnan(average_precision(instances([], False), found, 3,
                                      [0.1])).all()


@pytest.mark.parametrize('found, message', [
    ((0, 3, 0, 1, .5), r'labels of the detections .* \[0, 3\), got 3'),
    ((0, 0, 0, np.nan, .5), 'not finite.*position 0'),
    ((0, 0, 0, 1, np.inf), 'not finite.*inf'),
])
def test_bad_detections(found, message):
    truth = instances([(0, 0, 0, 1)], scored=False)
    with pytest.raises(ValueError, match=message):
        average_precision(truth, instances([found]), 3, [0.5])


def test_bad_threshold():
    with pytest.raises(ValueError, match='tiou_thrs'):
        average_precision(instances([], False), instances([]), 1, [0.5, 0])


@pytest.mark.parametrize('interpolated', [True, False])
@pytest.mark.parametrize('seed', range(6))
def test_agrees_with_plain_evaluator(seed, interpolated):
    """Ties of scores and overlaps, duplicates, unannotated videos."""
    rng = np.random.default_rng(seed)

    def draw(num, videos, grid):
        start = rng.integers(0, 12, num) / grid
        end = start + rng.integers(0, 6, num) / grid
        return (rng.integers(0, videos,
                             num), np.stack([start, end],
                                            1), rng.integers(0, 4, num))

    truth = Instances(*draw(60, 5, 1))
    videos, segments, labels = draw(400, 8, 2)
    found = Instances(videos, segments, labels, rng.integers(0, 12, 400) / 12)
    found = Instances(*(np.concatenate([item, item[:40]]) for item in found))
    truth = Instances(*(np.concatenate([item, item[:6]])
                        for item in truth[:3]))
    ours = average_precision(truth, found, 5, THRS, interpolated)
    np.testing.assert_allclose(
        ours, plain_ap(truth, found, 5, THRS, interpolated), atol=1e-9)
    assert np.isnan(ours[:, 4]).all() and np.nanmax(ours) > 0.05


# ---------------------------------------------------------------- real data


@pytest.fixture(scope='module')
def thumos(shared_data):
    return shared_data / 'thumos14'


@pytest.fixture(scope='module')
def bundle(thumos):
    return read_ground_truth(thumos / 'Thumos14reduced-Annotations')


@pytest.fixture(scope='module')
def co2net(thumos, bundle):
    return read_detections(thumos / 'detections' / 'co2net_test.json',
                           bundle[0])


@pytest.mark.parametrize('name, parts, num, expected', [
    ('seconds212', {}, (212, 3358), (33.5, 52.4, 33.3, 42.4)),
    ('co2', {}, (212, 3358), (36.4, 53.4, 34.6, 43.4)),
    ('co2', dict(ambiguous='ignore'), (212, 3358), (36.3, 53.3, 34.6, 43.4)),
    ('um210', {}, (210, 3311), (34.1, 53.4, 33.9, 43.3)),
    ('acr', {}, (210, 3311), (34.1, 53.4, 33.9, 43.3)),
    ('um210', dict(gt_unit='snippets'), (210, 3311), (37., 54.4, 35.3, 44.3)),
    ('seconds212', dict(interpolated=False), (212, 3358),
     (32.5, 51.4, 32.4, 41.5)),
])
def test_published_figures(bundle, co2net, name, parts, num, expected):
    """Real CO2-Net detections under the protocols of the literature."""
    result = evaluate(bundle[1], co2net, 20, make_protocol(name, **parts))
    assert (result.num_videos, result.num_gt) == num
    averages = result.averages()
    values = [result.by_threshold()['0.50']] + [
        averages[key] for key in ('0.10:0.50', '0.30:0.70', '0.10:0.70')
    ]
    np.testing.assert_allclose(values, expected, atol=0.06)
    assert result.dropped_outside == (198 if num[0] == 210 else 0)
    assert (result.dropped_ambiguous > 0) == (
        name in ('co2', 'acr') and not parts)


def test_gt_json_and_false_positives(thumos, bundle, co2net):
    truth = read_ground_truth(thumos / 'per-video' / 'gt.json')
    assert truth[0] == tuple(sorted(bundle[0]))
    found = read_detections(thumos / 'detections' / 'co2net_test.json',
                            truth[0])
    protocol = make_protocol('um210', outside='false_positive')
    result = evaluate(truth[1], found, 20, protocol)
    assert (result.num_videos, result.num_gt) == (210, 3311)
    assert result.averages()['0.10:0.70'] == pytest.approx(42.963, abs=5e-4)
    # the same from the bundle, whose two further videos are excluded
    other = evaluate(bundle[1], co2net, 20, protocol)
    assert other.averages()['0.10:0.70'] == pytest.approx(42.963, abs=5e-4)


@pytest.mark.parametrize('interpolated', [True, False])
def test_real_file_agrees_with_plain_evaluator(bundle, co2net, interpolated):
    names = {name: i for i, name in enumerate(sorted(bundle[1]))}

    def join(items, columns):
        return Instances(
            np.concatenate(
                [np.full(len(items[n].labels), i) for n, i in names.items()]),
            *(np.concatenate([getattr(items[n], column) for n in names])
              for column in columns))

    truth = join(bundle[1], ['segments', 'labels'])
    found = join(co2net, ['segments', 'labels', 'scores'])
    result = evaluate(bundle[1], co2net, 20,
                      make_protocol('seconds212', interpolated=interpolated))
    expected = plain_ap(truth, found, 20, (0.1, 0.5, 0.7), interpolated)
    np.testing.assert_allclose(result.ap[[0, 4, 6]] / 100, expected, atol=1e-9)


@pytest.mark.parametrize('folder, classes, videos',
                         [('ActivityNet1.2-Annotations', 100, 2383),
                          ('ActivityNet1.3-Annotations', 200, 4575)])
def test_activitynet_bundles(shared_data, folder, classes, videos):
    truth = read_ground_truth(shared_data / 'activitynet' / folder)
    assert (len(truth[0]), len(truth[1])) == (classes, videos)
    found = {
        name: Detections(item.segments, item.labels, np.ones(len(item.labels)))
        for name, item in truth[1].items()
    }
    result = evaluate(truth[1], found, classes, make_protocol('anet'))
    assert list(result.averages()) == ['0.50:0.95']
    # zero-length and duplicated annotations apart, the truth is perfect
    assert result.averages()['0.50:0.95'] > 99


# ---------------------------------------------------------------- protocols


def video(segments, labels, ambiguous=(), seconds_per_snippet=0.5):
    return GroundTruth(
        np.array(segments, float).reshape(-1, 2), np.array(labels, int),
        np.array(ambiguous, float).reshape(-1, 2), seconds_per_snippet)


def found_in(*rows):
    array = np.array(rows, float).reshape(-1, 4)
    return Detections(array[:, :2], array[:, 2].astype(int), array[:, 3])


def test_snippet_unit_rounds_ground_truth_only():
    truths = dict(a=video([[0.2, 1.1]], [0]))
    found = dict(a=found_in((0, 1.5, 0, 1)))
    # snippets: truth [0, 2], detection [0, 3]
    for thr, value in ((0.66, 100), (0.67, 0)):
        protocol = make_protocol(
            'seconds', gt_unit='snippets', tiou_thrs=[thr])
        assert evaluate(truths, found, 1, protocol).mean_ap() == value
    protocol = make_protocol('seconds', tiou_thrs=[0.61])
    assert evaluate(truths, found, 1, protocol).mean_ap() == 0


def test_excluded_and_ambiguous():
    truths = dict(
        a=video([[0, 4]], [0], ambiguous=[[10, 11]]), b=video([[0, 4]], [0]))
    found = dict(
        a=found_in((10.5, 12, 1, .9), (11, 12, 0, .8), (0, 4, 0, .7)),
        c=found_in((0, 4, 0, .95)))

    def ap(**parts):
        protocol = make_protocol('seconds', tiou_thrs=[0.5], **parts)
        return evaluate(truths, found, 2, protocol)

    result = ap()
    assert result.num_videos == 2 and result.num_gt == 2
    assert result.dropped_outside == 1 and result.num_detections == 3
    assert result.mean_ap() == pytest.approx(25)
    result = ap(exclude=['b'])
    assert result.num_gt == 1 and result.mean_ap() == pytest.approx(50)
    result = ap(exclude=['b'], outside='false_positive')
    assert result.dropped_outside == 0
    assert result.mean_ap() == pytest.approx(100 / 3)
    result = ap(exclude=['b'], ambiguous='drop')
    # touching the end of the span is not overlapping it
    assert result.dropped_ambiguous == 1 and result.num_detections == 2


def test_order_of_videos_does_not_matter():
    truths = dict(a=video([[0, 4]], [0]), b=video([], []))
    found = dict(b=found_in((0, 1, 0, .5)), a=found_in((0, 4, 0, .5)))
    swapped = dict(reversed(found.items()))
    protocol = make_protocol('seconds')
    assert evaluate(truths, found, 1,
                    protocol).averages() == evaluate(truths, swapped, 1,
                                                     protocol).averages()


def test_table_and_names():
    truths = dict(a=video([[0, 4]], [0]))
    result = evaluate(truths, dict(a=found_in((0, 4, 0, 1))), 1,
                      make_protocol('seconds212', interpolated=False))
    table = result.table()
    assert ('protocol seconds212 interpolated=False: 1 videos, 1 instances, '
            '1 detections') in table
    assert '0.10:0.70' in table.splitlines()[0]
    assert table.splitlines()[1].count('100.00') == 10
    content = result.to_dict()
    assert content['protocol'] == 'seconds212'
    assert content['settings']['interpolated'] is False
    assert content['mAP']['0.50'] == 100
    assert list(content['average']) == ['0.10:0.70', '0.10:0.50', '0.30:0.70']
    json.dumps(content, allow_nan=False)
    empty = evaluate(dict(a=video([], [])), {}, 1, make_protocol('seconds'))
    assert empty.to_dict()['mAP']['0.50'] is None


def test_table_of_a_protocol_of_ones_own():
    result = evaluate(
        dict(a=video([[0, 4]], [0])), dict(a=found_in((0, 4, 0, 1))), 1,
        Protocol('mine', tiou_thrs=(0.5, ), averages=((0.5, 0.5), )))
    assert 'protocol mine tiou_thrs=(0.5,)' in result.table()


def test_a_protocol_says_what_the_ground_truth_lacks():
    found = dict(a=found_in((0, 4, 0, 1)))
    for spans, protocol, noted in (((), 'acr', True), ([[5, 6]], 'acr', False),
                                   ((), 'um210', False)):
        result = evaluate(
            dict(a=video([[0, 4]], [0], spans)), found, 1,
            make_protocol(protocol))
        assert ('but the ground truth has none' in result.table()) == noted
        assert bool(result.to_dict()['notes']) == noted


def test_unknown_videos_are_not_excluded():
    truth = dict(a=video([[0, 4]], [0]))
    with pytest.raises(ValueError, match='not in the ground truth: b$'):
        evaluate(truth, {}, 1, make_protocol('co2', exclude=['a', 'b']))
    # those of the protocol itself need not be there
    assert evaluate(truth, {}, 1, make_protocol('um210')).num_videos == 1


@pytest.mark.parametrize('name, parts, message', [
    ('thumos', {}, "protocol must be one of .*'thumos'"),
    ('co2', dict(unit='s'), 'parts of a protocol'),
    ('co2', dict(gt_unit='frames'), 'gt_unit must be one of'),
    ('co2', dict(ambiguous=True), 'ambiguous must be one of'),
    ('co2', dict(outside='ignore'), 'outside must be one of'),
    ('co2', dict(tiou_thrs=[0.5, 1.5]), 'tiou_thrs'),
    ('co2', dict(tiou_thrs=[]), 'tiou_thrs'),
    ('co2', dict(averages=[[0.8, 0.9]]), 'no threshold'),
])
def test_bad_protocols(name, parts, message):
    with pytest.raises(ValueError, match=message):
        make_protocol(name, **parts)


# ------------------------------------------------------------------ readers


def write(path, content):
    path.write_text(json.dumps(content))
    return path


def database(**records):
    return dict(database=records)


def test_reads_json(tmp_path):
    item = dict(label='b', segment=['1.5', 2])
    path = write(
        tmp_path / 'a.json',
        dict(
            classes=['b', 'a'],
            **database(
                v1=dict(
                    subset='validation',
                    annotations=[item],
                    ambiguous=[[3, 4]]),
                v2=dict(subset='training', annotations=[item]),
                v3=dict(subset='validation', annotations=[]),
                v4=dict(subset='testing', annotations=[]))))
    truth = read_ground_truth(path, seconds_per_snippet=0.1)
    assert truth[0] == ('b', 'a') and set(truth[1]) == {'v1', 'v3'}
    item = truth[1]['v1']
    assert item.segments.tolist() == [[1.5, 2]]
    assert item.labels.tolist() == [0]
    assert item.ambiguous.tolist() == [[3, 4]]
    assert item.seconds_per_snippet == 0.1
    assert truth[1]['v3'].segments.shape == (0, 2)
    assert set(read_ground_truth(path, 'training')[1]) == {'v2'}


def test_ambiguous_is_no_class(tmp_path):
    """Unless the file declares it."""
    segments = [
        dict(label='x', segment=[0, 1]),
        dict(label='Ambiguous', segment=[2, 3])
    ]
    content = database(
        v=dict(subset='Test', annotations=segments, labels=['x', 'Ambiguous']))
    classes, truth = read_ground_truth(write(tmp_path / 'a.json', content))
    assert classes == ('x', )
    assert truth['v'].segments.tolist() == [[0, 1]]
    assert truth['v'].ambiguous.tolist() == [[2, 3]]
    content['classes'] = ['Ambiguous', 'x']
    classes, truth = read_ground_truth(write(tmp_path / 'b.json', content))
    assert classes == ('Ambiguous', 'x') and len(truth['v'].segments) == 2


@pytest.mark.parametrize('spelled, asked', [('Test', None),
                                            ('testing', 'TEST'),
                                            ('Val', 'validation'),
                                            ('fold 1', 'fold 1')])
def test_spellings_of_subsets(tmp_path, spelled, asked):
    content = database(
        v=dict(subset=spelled, annotations=[dict(label='x', segment=[0, 1])]))
    path = write(tmp_path / 'a.json', content)
    assert set(read_ground_truth(path, asked)[1]) == {'v'}


@pytest.mark.parametrize('content, message', [
    ([], 'a.json: expected a json object, found'),
    (dict(results={}), "found the keys \\['results'\\]"),
    (database(v=dict(subset='test', annotations=[dict(label='x')])),
     'a.json: the record of v is malformed.*"segment"'),
    (database(v=dict(subset='train', annotations=[])), 'no annotated segment'),
    (database(
        v=dict(
            subset='test', annotations=[dict(label='x', segment=[0, 1, 2, 3])])
    ), r'\[start, end\] in seconds, found \[0, 1, 2, 3\]'),
    (database(
        v=dict(subset='test', annotations=[dict(label='x', segment=[3, 1])])),
     r'\[3.0, 1.0\] is not 0 <= start <= end'),
    (dict(
        classes=['y'],
        **database(
            v=dict(
                subset='test', annotations=[dict(label='x', segment=[0, 1])]))
    ), "a.json: v has the label 'x', which is none of the 1 classes"),
])
def test_bad_ground_truth(tmp_path, content, message):
    with pytest.raises(ValueError, match=message):
        read_ground_truth(write(tmp_path / 'a.json', content))


def test_bundle_of_unequal_files(tmp_path):
    for key in ('videoname', 'subset', 'segments', 'labels', 'classlist'):
        np.save(tmp_path / f'{key}.npy', np.array(['x', 'y']))
    np.save(tmp_path / 'labels.npy', np.array(['x']))
    with pytest.raises(ValueError, match="one row per video.*'labels': 1"):
        read_ground_truth(tmp_path)


@pytest.mark.parametrize('content, message', [
    (dict(results=[]), r'with a json object, found \[\]'),
    (dict(results=dict(v=[dict(label='x', score=1)])), "v: .*'segment'"),
    (dict(results=dict(v=[dict(label='x', segment=[0, 1, 2, 3], score=1)])),
     r'a.json: v: .*found segment \[0.0, 1.0, 2.0, 3.0\]'),
    (dict(results=dict(v=[dict(label='x', segment=[3, 1], score=1)])),
     r'start <= end.*found segment \[3.0, 1.0\]'),
    (dict(results=dict(v=[dict(label='y', segment=[0, 1], score=1)])),
     "v has the label 'y'.*1 classes"),
    (dict(
        results=dict(v=[dict(label='x', segment=[0, 1], score=float('nan'))])),
     'all finite; found .*score nan'),
])
def test_bad_detections_file(tmp_path, content, message):
    with pytest.raises(ValueError, match=message):
        read_detections(write(tmp_path / 'a.json', content), ['x'])


# ------------------------------------------------------------------ metrics


def data_sample(name, truth, found, gt_label=None, score=None):
    """``truth``: start, end, label; ``found``: start, end, label, score."""
    truth = np.array(truth, float).reshape(-1, 3)
    found = np.array(found, float).reshape(-1, 4)
    sample = ActionDataSample(
        metainfo=dict(
            video_name=name,
            duration=10.,
            seconds_per_snippet=1.,
            num_snippets=10,
            ambiguous=np.zeros((0, 2))))
    if gt_label is None:
        gt_label = sorted(set(truth[:, 2].astype(int).tolist()))
    sample.set_gt_label(torch.tensor(gt_label, dtype=torch.long))
    sample.gt_instances = InstanceData(
        segments=truth[:, :2], labels=truth[:, 2].astype(int))
    sample.pred_instances = InstanceData(
        segments=torch.tensor(found[:, :2]),
        labels=torch.tensor(found[:, 2].astype(int)),
        scores=torch.tensor(found[:, 3]))
    if score is not None:
        sample.set_pred_score(torch.tensor(score))
    return sample


def three_videos():
    return [
        data_sample(
            'a', [(0, 4, 0), (5, 9, 1)], [(0, 4, 0, .9), (5, 7, 1, .8)],
            score=[.9, .1]),
        data_sample('b', [(0, 4, 1)], [(0, 4, 0, .95)], score=[.8, .2]),
        data_sample('c', [], [], score=[.5, .5]),
    ]


def run_metric(metric, samples):
    evaluator = Evaluator([METRICS.build(metric)])
    for sample in samples:
        evaluator.process([sample])
    return evaluator.evaluate(len(samples))


def test_detection_map(caplog):
    """Class 0: a miss, then the hit. Class 1: one instance of two is found,
    with an overlap of one half."""
    metrics = run_metric(dict(type='DetectionMAP'), three_videos())
    assert {key: round(value, 6) for key, value in metrics.items()} == {
        **{f'det/mAP@0.{i}0': 50 for i in range(1, 6)},
        'det/mAP@0.60': 25, 'det/mAP@0.70': 25,
        'det/mAP@0.10:0.70': round(300 / 7, 6),
        'det/mAP@0.10:0.50': 50, 'det/mAP@0.30:0.70': 40,
        'det/video_acc': 50,
    }  # yapf: disable
    assert all(type(value) is float for value in metrics.values())


def test_detection_map_of_activitynet():
    metrics = run_metric(
        dict(type='DetectionMAP', protocol='anet', prefix='x'), three_videos())
    assert metrics['x/mAP@0.50'] == 50 and metrics['x/mAP@0.95'] == 25
    assert metrics['x/mAP@0.50:0.95'] == pytest.approx(27.5)
    assert len(metrics) == 12


def test_detection_map_takes_parts():
    metrics = run_metric(
        dict(
            type='DetectionMAP',
            protocol='seconds',
            tiou_thrs=[0.5],
            exclude=['b']), three_videos())
    assert metrics['det/mAP@0.50:0.50'] == pytest.approx(100)


def test_without_detections_or_instances():
    blind = [data_sample('a', [(0, 4, 0)], [], score=[.9, .1])]
    assert run_metric(dict(type='DetectionMAP'),
                      blind)['det/mAP@0.10:0.70'] == 0
    unlabelled = [
        data_sample('a', [], [(0, 4, 0, .9)], gt_label=[1], score=[.1, .9])
    ]
    metrics = run_metric(dict(type='DetectionMAP'), unlabelled)
    assert np.isnan(metrics['det/mAP@0.10:0.70'])
    assert metrics['det/video_acc'] == 100


@pytest.mark.parametrize('metric', [
    dict(type='DetectionMAP'),
    dict(type='ProposalRecall'),
])
def test_ranks_with_repeated_samples(metric, monkeypatch):
    """Two ranks share 5 videos; the sampler repeats one on the second."""
    rng = np.random.default_rng(0)
    samples = []
    for name in 'edcba':
        start = rng.integers(0, 6, 8)
        rows = np.stack([
            start, start + 3,
            rng.integers(0, 2, 8),
            rng.integers(0, 3, 8) / 3
        ], 1)
        samples.append(
            data_sample(name, rows[:3, :3], rows[2:], score=rng.random(2)))
    expected = run_metric(metric, samples)
    ranks = [METRICS.build(metric), METRICS.build(metric)]
    for rank, order in zip(ranks, ([0, 2, 4], [1, 3, 0])):
        for i in order:
            rank.process(None, [samples[i].to_dict()])

    def collect(results, size, *_, **__):
        # as if the repeated video came before a fresh one
        return ranks[1].results[::-1] + results

    monkeypatch.setattr(mmengine.evaluator.metric, 'collect_results', collect)
    assert ranks[0].evaluate(5) == pytest.approx(expected)
    assert len(expected) >= 3


def test_videos_without_segments_are_left_out():
    """Whoever annotates a part of the test videos is not told that all found
    in the others is wrong."""
    samples = three_videos()
    every = run_metric(dict(type='DetectionMAP', outside='drop'), samples)
    bare = data_sample('d', [], [(0, 4, 0, .99), (4, 8, 1, .99)], score=[1, 0])
    assert run_metric(dict(type='DetectionMAP'), [*samples, bare]) == every
    worse = run_metric(
        dict(type='DetectionMAP', outside='false_positive'), [*samples, bare])
    assert worse['det/mAP@0.10'] < every['det/mAP@0.10']


def test_two_videos_of_one_name_are_refused():
    """As in a ConcatDataset of two sets; a repeated one is the same."""
    first, second, _ = three_videos()
    for kind in ('DetectionMAP', 'ProposalRecall'):
        run_metric(dict(type=kind), [first, second, first])
        with pytest.raises(ValueError, match='two videos are called a'):
            run_metric(
                dict(type=kind),
                [first, data_sample('a', [(1, 2, 0)], [], score=[1, 0])])


def test_average_recall_by_hand():
    """Three proposals of two videos: the share of them that makes one per
    video holds two of the three."""
    found = [(20, 30, 0, .5), (0, 6, 1, .9), (50, 60, 0, .8)]
    samples = [
        data_sample('a', [(0, 10, 0), (20, 30, 0)], found, score=[.9, .1]),
        data_sample('b', [(0, 10, 0)], [], score=[.9, .1])
    ]
    metrics = run_metric(dict(type='ProposalRecall'), samples)
    # (0, 6) has overlap 0.6: above three of the ten thresholds
    assert metrics['proposal/AR@1'] == pytest.approx(100 / 3 * 0.3)
    assert metrics['proposal/AR@100'] == pytest.approx(100 / 3 * 1.3)
    nothing = run_metric(dict(type='ProposalRecall'), samples[1:])
    assert set(nothing.values()) == {0}


def test_average_recall_metric():
    samples = three_videos()
    metrics = run_metric(dict(type='ProposalRecall'), samples)
    # the budget of 100 proposals on average exceeds what there is
    # one of three instances is found at the lowest of ten thresholds only
    assert metrics['proposal/AR@100'] == pytest.approx(70)
    assert list(metrics)[0] == 'proposal/AR@1' and len(metrics) == 5
    empty = run_metric(dict(type='ProposalRecall'), samples[2:])
    assert np.isnan(empty['proposal/AR@100'])
