"""Against the evaluators in MMAction2."""
import json

import numpy as np
import pytest
from mmaction.evaluation.functional import ActivityNetLocalization

from mmaction_actiondiff.evaluation import (evaluate, make_protocol,
                                            read_detections, read_ground_truth)


@pytest.mark.parametrize('protocol', ['seconds', 'anet'])
def test_mean_average_precision(tmp_path, protocol):
    """Random times and scores: without ties, which it ranks differently, and
    away from the thresholds, as it rounds overlaps to float32."""
    rng = np.random.default_rng(1)
    database, results = {}, {}
    for video in range(12):
        items = []
        for _ in range(rng.integers(1, 8)):
            start = rng.uniform(0, 50)
            items.append(
                dict(
                    label=f'c{rng.integers(0, 3)}',
                    segment=[start, start + rng.uniform(1, 20)]))
        database[f'v_{video:04}'] = dict(subset='test', annotations=items)
        results[f'v_{video:04}'] = [
            dict(
                label=item['label'],
                segment=np.sort(
                    np.array(item['segment']) + rng.normal(0, 2, 2)).tolist(),
                score=rng.random()) for item in items * 4
        ]
    truth, found = tmp_path / 'truth.json', tmp_path / 'found.json'
    truth.write_text(json.dumps(dict(database=database)))
    found.write_text(json.dumps(dict(results=results)))
    ours = read_ground_truth(truth)
    result = evaluate(ours[1], read_detections(found, ours[0]), 3,
                      make_protocol(protocol))
    # it drops two characters from the names of annotated videos only
    truth.write_text(json.dumps(database))
    found.write_text(
        json.dumps(dict(results={
            k[2:]: v
            for k, v in results.items()
        })))
    theirs = ActivityNetLocalization(
        str(truth), str(found), np.array(result.protocol.tiou_thrs))
    expected, average = theirs.evaluate()
    np.testing.assert_allclose(result.mean_ap() / 100, expected, atol=1e-9)
    assert list(result.averages().values())[0] == pytest.approx(100 * average)
    assert 0.1 < average < 0.9
