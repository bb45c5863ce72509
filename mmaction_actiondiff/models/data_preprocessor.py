# Copyright (c) mmaction_actiondiff contributors. All rights reserved.
"""WTALDataPreprocessor: features of several lengths into one batch."""
from __future__ import annotations

import torch
from mmaction.registry import MODELS
from mmengine.model import BaseDataPreprocessor


@MODELS.register_module()
class WTALDataPreprocessor(BaseDataPreprocessor):
    """Moves a batch to the device, as float32, padded to one length.

    The data samples stay where they are: reading a label back from a GPU
    would wait for it. Nor is the copy of pinned memory waited for.
    Zeros are appended to each video up to the longest of the batch; its own
    snippets are the first ``num_snippets`` (metainfo of its data sample).
    """

    def __init__(self) -> None:
        super().__init__(non_blocking=True)

    def forward(self, data: dict, training: bool = False) -> dict:
        """``inputs``, N tensors (D, T_i) -> float32 (N, D, max T_i), with
        their ``data_samples``, None if there are none.

        Raises:
            ValueError: If the tensors are not all (D, T_i) with the same D.
        """
        inputs = self.cast_data(data['inputs'])
        shapes = [tuple(x.shape) for x in inputs]
        if any(len(s) != 2 or s[0] != shapes[0][0] for s in shapes):
            raise ValueError('inputs must be (D, T) tensors with the same D, '
                             f'got the shapes {shapes}')
        longest = max(s[1] for s in shapes)
        batch = inputs[0].new_zeros(
            len(shapes), shapes[0][0], longest, dtype=torch.float32)
        for row, x in zip(batch, inputs):
            row[:, :x.shape[1]] = x
        return dict(inputs=batch, data_samples=data.get('data_samples'))
