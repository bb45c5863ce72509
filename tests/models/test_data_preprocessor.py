"""Features of several lengths become one batch."""
from __future__ import annotations

import numpy as np
import pytest
import torch
from mmaction.registry import MODELS
from mmaction.structures import ActionDataSample

from mmaction_actiondiff.models.data_preprocessor import WTALDataPreprocessor


def test_pads_at_the_end_and_casts():
    inputs = [
        torch.full((3, 2), 5, dtype=torch.float16),
        torch.full((5, 3), 7, dtype=torch.float16).t()
    ]
    samples = [ActionDataSample(metainfo=dict(num_snippets=n)) for n in (2, 5)]
    out = WTALDataPreprocessor()(dict(inputs=inputs, data_samples=samples))
    assert out['inputs'].dtype == torch.float32
    assert out['inputs'].shape == (2, 3, 5)
    assert (out['inputs'][0, :, :2] == 5).all()
    assert (out['inputs'][0, :, 2:] == 0).all()
    assert (out['inputs'][1] == 7).all()
    assert [s.num_snippets for s in out['data_samples']] == [2, 5]


def test_labels_may_be_absent():
    out = MODELS.build(dict(type='WTALDataPreprocessor'))(
        dict(inputs=[torch.zeros(3, 2)]))
    assert out['data_samples'] is None


def test_double_precision_becomes_single():
    values = torch.from_numpy(np.full((3, 2), 0.1))
    out = WTALDataPreprocessor()(dict(inputs=[values]))
    assert out['inputs'].dtype == torch.float32


@pytest.mark.parametrize('other', [(4, 2), (3, ), (1, 3, 2)])
def test_shapes_that_do_not_fit(other):
    with pytest.raises(ValueError, match=r'same D, got the shapes \[\(3, 2\)'):
        WTALDataPreprocessor()(
            dict(inputs=[torch.zeros(3, 2),
                         torch.zeros(other)]))


def test_follows_the_device():
    out = WTALDataPreprocessor().to('meta')(
        dict(inputs=[torch.zeros(3, 2, device='meta')]))
    assert out['inputs'].device.type == 'meta'
