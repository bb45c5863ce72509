"""Our NMS against MMAction2's, which needs ``mmaction.models``."""
import numpy as np
import pytest

import mmaction_actiondiff  # noqa: F401  (stands in for what wheels lack)
from mmaction_actiondiff.proposals import soft_nms

try:
    from mmaction.models.localizers.utils import soft_nms as reference
except ImportError as error:  # pragma: no cover
    pytest.skip(
        f'mmaction.models is not importable: {error}', allow_module_level=True)


@pytest.mark.parametrize('top_k', [10, 1000])
@pytest.mark.parametrize('alpha, thr', [(0.4, 0.5), (0.5, 0.1), (0.75, 0.)])
def test_same_proposals_same_scores(alpha, thr, top_k):
    rng = np.random.default_rng(0)
    start = rng.uniform(0, 0.95, 400)
    end = np.minimum(start + rng.uniform(0.01, 0.4, 400), 1)
    proposals = np.stack([start, end, rng.uniform(0.01, 1, 400)], axis=1)
    expected = reference(proposals, alpha, thr, thr, top_k)
    keep, scores = soft_nms(
        proposals[:, :2],
        proposals[:, 2],
        sigma=alpha,
        tiou_thr=thr,
        max_num=top_k + 1)
    assert len(expected) == min(top_k + 1, 400)
    np.testing.assert_array_equal(proposals[keep, :2], expected[:, :2])
    np.testing.assert_array_equal(scores, expected[:, 2])
