"""Dropout by random bytes: the moments, the seed, the mode."""
from __future__ import annotations

import pytest
import torch

from mmaction_actiondiff.models.dropout import Dropout


@pytest.mark.parametrize('p', [0.1, 0.5, 0.7])
def test_drops_the_share_and_keeps_the_mean(p):
    x = torch.ones(1001, 1003, requires_grad=True)
    out = Dropout(p)(x)
    kept = out > 0
    assert float(kept.float().mean()) == pytest.approx(1 - p, abs=3e-3)
    assert len(out[kept].unique()) == 1
    assert float(out.mean()) == pytest.approx(1, abs=5e-3)
    # Neighbours know nothing of each other.
    for shift in (1, 2, 8):
        both = (kept[:, shift:] & kept[:, :-shift]).float().mean()
        assert float(both) == pytest.approx((1 - p)**2, abs=6e-3)
    out.sum().backward()
    torch.testing.assert_close(x.grad, out.detach())


def test_torch_s_seed_decides():
    x = torch.rand(5, 7)
    layer = Dropout(0.5)
    torch.manual_seed(0)
    first = layer(x)
    assert not torch.equal(first, layer(x))
    torch.manual_seed(0)
    assert torch.equal(first, layer(x))


@pytest.mark.parametrize('p', [0., 1e-4, 1.])
def test_ends_of_the_range(p):
    x = torch.rand(9) + 1
    out = Dropout(p)(x)
    assert (out == 0).all() if p == 1 else out.isfinite().all()
    assert torch.equal(Dropout(0.7).eval()(x), x)


def test_keeps_the_dtype():
    assert Dropout(0.5)(torch.ones(9).bfloat16()).dtype == torch.bfloat16
