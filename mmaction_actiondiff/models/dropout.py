"""Dropout that draws its bits cheaply on a CPU."""
from __future__ import annotations

import torch
from torch import Tensor, nn


class Dropout(nn.Dropout):
    """``nn.Dropout`` with one random byte per element on a CPU.

    There, torch draws the elements one after the other: a tenth of a training
    step of a small network. Eight bytes cost one draw here; the probability
    is rounded to a multiple of 1 / 256, and what remains is scaled by the
    rounded one, so that the expectation is exact. Elsewhere, and where the
    byte could drop nothing or everything, it is ``nn.Dropout``.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Any shape; the same."""
        dropped = round(self.p * 256)
        if (not self.training or x.device.type != 'cpu'
                or not 0 < dropped < 256):
            return super().forward(x)
        words = torch.empty(-(-x.numel() // 8), dtype=torch.int64)
        words.random_(torch.iinfo(torch.int64).min, None)
        kept = words.view(torch.uint8)[:x.numel()].view(x.shape) >= dropped
        return x * (kept.to(x.dtype) * (256 / (256 - dropped)))
