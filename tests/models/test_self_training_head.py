import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from mmaction_actiondiff.models import SelfTrainingHead
from mmaction_actiondiff.models.diffusion_head import (DiffusionHead,
                                                       video_generators)

DENOISER = dict(channels=16, num_layers=2, num_heads=2)


def trained_head(kind=SelfTrainingHead):
    """A head whose last layer does not answer zero."""
    torch.manual_seed(0)
    head = kind(3, condition_channels=8, denoiser=DENOISER)
    torch.nn.init.normal_(head.denoiser.head.weight)
    return head.eval()


def test_the_network_is_that_of_the_diffusion_head():
    plain, diffusion = trained_head(), trained_head(DiffusionHead)
    assert plain.hidden_channels == diffusion.hidden_channels == 16
    diffusion.load_state_dict(plain.state_dict())  # strict
    # ... and the answer is the denoiser's at timestep 0 without a mask
    condition = torch.randn(2, 8, 9)
    logits, hidden = diffusion.denoiser(
        torch.zeros(2, 3, 9),
        torch.zeros(2).long(), condition)
    out = plain.sample(condition)
    torch.testing.assert_close(out.logits, logits)
    torch.testing.assert_close(out.hidden, hidden)
    torch.testing.assert_close(out.prob, logits.sigmoid())


def test_neither_noise_nor_the_mask_gets_in():
    head = trained_head()
    condition = torch.randn(2, 8, 9)
    masks = torch.zeros(2, 3, 9), torch.ones(2, 3, 9)
    first, second = (head(mask, condition) for mask in masks)
    torch.testing.assert_close(first.logits, second.logits)
    generators = video_generators(['a', 'b'])
    before = generators[0].get_state()
    sampled = head.sample(condition, generators=generators)
    torch.testing.assert_close(sampled.logits, first.logits)
    assert torch.equal(generators[0].get_state(), before)
    assert not sampled.logits.requires_grad
    assert first.logits.requires_grad


def test_all_videos_weigh_the_same():
    out = trained_head()(torch.zeros(2, 3, 9), torch.randn(2, 8, 9))
    assert out.snr_weight.tolist() == [1, 1]
    assert out.timesteps.tolist() == [0, 0]


def test_padding_changes_nothing():
    head = trained_head()
    condition = torch.randn(2, 8, 9)
    padded = torch.nn.functional.pad(condition, (0, 20), value=7.)
    valid = (torch.arange(29) < 9).expand(2, 1, 29)
    short, long = head.sample(condition), head.sample(padded, valid)
    for name in ('logits', 'prob', 'hidden'):
        a, b = getattr(short, name), getattr(long, name)
        torch.testing.assert_close(a, b[..., :9], atol=1e-6, rtol=1e-5)
        assert not b[..., 9:].any()


def test_it_learns_the_mask_from_the_condition():
    head = SelfTrainingHead(3, condition_channels=8, denoiser=DENOISER)
    mask = (torch.rand(4, 3, 30) > .7).float()
    condition = torch.cat([mask, torch.randn(4, 5, 30)], 1)
    optimizer = torch.optim.Adam(head.parameters(), lr=1e-2)
    first = None
    for _ in range(80):
        out = head(mask, condition)
        loss = binary_cross_entropy_with_logits(out.logits, mask)
        first = first or loss.item()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < .5 * first
    # The mask's own projection is fed zeros: a gradient of zero, not none,
    # so that distributed training finds no unused parameter.
    assert all(p.grad is not None for p in head.parameters())
    idle = {n for n, p in head.named_parameters() if not p.grad.any()}
    assert idle == {'denoiser.stem.weight'}


def test_one_snippet():
    out = trained_head().sample(torch.randn(1, 8, 1))
    assert out.logits.shape == (1, 3, 1) and out.logits.isfinite().all()


def test_shapes_are_checked():
    with pytest.raises(ValueError, match=r'mask must have shape \(2, 3, 9\)'):
        trained_head()(torch.zeros(2, 4, 9), torch.randn(2, 8, 9))
