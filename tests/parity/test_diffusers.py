"""Our sampler against an independent one, and theirs inside our head."""
from __future__ import annotations

import pytest
import torch

from mmaction_actiondiff.models import ActionDiffDDIM, DiffusionHead
from mmaction_actiondiff.models.actiondiff.ddim import add_noise
from mmaction_actiondiff.models.actiondiff.diffusion_head import \
    video_generators
from mmaction_actiondiff.models.actiondiff.mask_generator import PseudoMask

diffusers = pytest.importorskip('diffusers')


def theirs(**kwargs):
    """Their DDIM with our schedule."""
    return diffusers.DDIMScheduler(
        **{
            'beta_schedule': 'squaredcos_cap_v2',
            'prediction_type': 'sample',
            'timestep_spacing': 'trailing',
            'set_alpha_to_one': True,
            **kwargs
        })


def loop(scheduler, sample, steps):
    """A network that is neither linear nor constant in time."""
    scheduler.set_timesteps(steps)
    for t in scheduler.timesteps:
        prediction = torch.tanh(2 * sample) * (0.4 + 0.6 * int(t) / 1000)
        sample = scheduler.step(prediction, t, sample).prev_sample
    return sample


def test_schedule():
    torch.testing.assert_close(
        ActionDiffDDIM().alphas_cumprod,
        theirs().alphas_cumprod,
        atol=3e-7,
        rtol=0)


@pytest.mark.parametrize('steps', [1, 4, 8, 25, 50, 100])
@pytest.mark.parametrize('scale', [1., 2.])
def test_samples(steps, scale):
    start = torch.randn(2, 4, 30)
    ours = loop(ActionDiffDDIM(clip_sample_range=scale), start, steps)
    other = loop(theirs(clip_sample_range=scale), start, steps)
    torch.testing.assert_close(ours, other, atol=8e-5, rtol=0)


def test_noising():
    x_0, noise = torch.randn(2, 3, 4, 5)
    timesteps = torch.tensor([0, 400, 999])
    torch.testing.assert_close(
        add_noise(ActionDiffDDIM().alphas_cumprod, x_0, noise, timesteps),
        theirs().add_noise(x_0, noise, timesteps),
        atol=1e-4,  # they take 1 - alpha_bar from a float32 product
        rtol=0)


def build(scheduler, **kwargs):
    torch.manual_seed(0)
    head = DiffusionHead(
        3, 8, denoiser=dict(channels=16), scheduler=scheduler,
        **kwargs).eval()
    torch.nn.init.normal_(head.denoiser.head.weight, std=0.2)
    return head


def sample(head):
    condition = torch.randn(
        2, 8, 20, generator=torch.Generator().manual_seed(0))
    valid = torch.ones(2, 1, 20, dtype=torch.bool)
    return head.sample(condition, valid, video_generators('ab')).prob


def test_their_ddim_in_our_head():
    ours = sample(build(dict(type='ActionDiffDDIM')))
    other = sample(build(dict(type='diffusers.DDIMScheduler')))
    torch.testing.assert_close(ours, other, atol=2e-3, rtol=0)


@pytest.mark.parametrize('algorithm', ['dpmsolver++', 'sde-dpmsolver++'])
def test_their_multistep_sampler_in_our_head(algorithm):
    """Only the sampler changes: the weights load, one step is one answer,
    many steps come near those of DDIM, and calls repeat themselves."""

    def both(steps):
        ours = build(None, num_inference_steps=steps)
        other = build(
            dict(
                type='diffusers.DPMSolverMultistepScheduler',
                algorithm_type=algorithm),
            num_inference_steps=steps)
        other.load_state_dict(ours.state_dict())
        return sample(ours), sample(other), sample(other)

    ours, other, _ = both(1)
    torch.testing.assert_close(ours, other)
    ours, other, again = both(50)
    assert torch.equal(other, again)
    if algorithm == 'dpmsolver++':  # the same path, another integrator
        torch.testing.assert_close(ours, other, atol=0.02, rtol=0)


def test_training_does_not_depend_on_the_sampler():
    """Their multistep add_noise knows the inference timesteps only."""
    mask = (torch.rand(4, 3, 20) > 0.5).float()
    pseudo = PseudoMask(mask, torch.ones_like(mask), mask[:, :1])
    condition, valid = torch.randn(4, 8, 20), torch.ones(4, 1, 20) > 0
    logits = []
    for kind in ('ActionDiffDDIM', 'diffusers.DPMSolverMultistepScheduler'):
        head = build(dict(type=kind))
        sample(head)
        torch.manual_seed(3)
        logits.append(head(pseudo, condition, valid).logits)
    torch.testing.assert_close(*logits, atol=1e-5, rtol=0)


@pytest.mark.parametrize('kind, prediction', [
    ('diffusers.FlowMatchEulerDiscreteScheduler', {}),
    ('diffusers.DDIMScheduler', dict(prediction_type='epsilon')),
])
def test_wrong_process_is_refused(kind, prediction):
    with pytest.raises(ValueError, match="prediction_type='sample'"):
        build(dict(type=kind, **prediction))
