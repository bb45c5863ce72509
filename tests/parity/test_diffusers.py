"""Our sampler against an independent one, and theirs inside our head."""
from __future__ import annotations

import pytest
import torch

import mmaction_actiondiff.models.denoiser  # noqa: F401
from mmaction_actiondiff.models.diffusion_head import DiffusionHead
from mmaction_actiondiff.models.schedulers import DDIMScheduler

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


def loop(scheduler, sample, steps, **kwargs):
    """A network that is neither linear nor constant in time."""
    generator = torch.Generator().manual_seed(1)
    scheduler.set_timesteps(steps)
    for t in scheduler.timesteps:
        prediction = torch.tanh(2 * sample) * (0.4 + 0.6 * int(t) / 1000)
        sample = scheduler.step(
            prediction, t, sample, generator=generator, **kwargs).prev_sample
    return sample


def test_schedule():
    torch.testing.assert_close(
        DDIMScheduler().alphas_cumprod,
        theirs().alphas_cumprod,
        atol=3e-7,
        rtol=0)


@pytest.mark.parametrize('steps', [1, 4, 8, 25, 50, 100])
@pytest.mark.parametrize('eta, tolerance', [(0., 8e-5), (1., 2e-3)])
@pytest.mark.parametrize('scale', [1., 2.])
def test_samples(steps, eta, tolerance, scale):
    start = torch.randn(2, 4, 30)
    ours = loop(DDIMScheduler(clip_sample_range=scale), start, steps, eta=eta)
    other = loop(theirs(clip_sample_range=scale), start, steps, eta=eta)
    torch.testing.assert_close(ours, other, atol=tolerance, rtol=0)


@pytest.mark.parametrize('kind', ['epsilon', 'v_prediction'])
@pytest.mark.parametrize('eta', [0., 1.])
def test_other_predictions(kind, eta):
    """They keep the noise of the unclipped x_0 unless told otherwise."""
    start = torch.randn(2, 4, 30)
    ours = loop(DDIMScheduler(prediction_type=kind), start, 10, eta=eta)
    other = loop(
        theirs(prediction_type=kind),
        start,
        10,
        eta=eta,
        use_clipped_model_output=True)
    torch.testing.assert_close(ours, other, atol=2e-3, rtol=0)


def test_noising():
    x_0, noise = torch.randn(2, 3, 4, 5)
    timesteps = torch.tensor([0, 400, 999])
    torch.testing.assert_close(
        DDIMScheduler().add_noise(x_0, noise, timesteps),
        theirs().add_noise(x_0, noise, timesteps),
        atol=1e-4,  # they take 1 - alpha_bar from a float32 product
        rtol=0)


def build(scheduler, **kwargs):
    torch.manual_seed(0)
    head = DiffusionHead(
        3,
        8,
        denoiser=dict(channels=16, num_heads=2, num_layers=2),
        scheduler=scheduler,
        **kwargs).eval()
    torch.nn.init.normal_(head.denoiser.head.weight, std=0.2)
    return head


def sample(head, **kwargs):
    condition = torch.randn(
        2, 8, 20, generator=torch.Generator().manual_seed(0))
    generators = [torch.Generator().manual_seed(i) for i in range(2)]
    return head.sample(condition, generators=generators, **kwargs).prob


@pytest.mark.parametrize('eta', [0., 1.])
def test_their_ddim_in_our_head(eta):
    step_cfg = dict(eta=eta)
    ours = sample(build(dict(type='DDIMScheduler'), step_cfg=step_cfg))
    other = sample(
        build(dict(type='diffusers.DDIMScheduler'), step_cfg=step_cfg))
    torch.testing.assert_close(ours, other, atol=2e-3, rtol=0)


@pytest.mark.parametrize('algorithm', ['dpmsolver++', 'sde-dpmsolver++'])
def test_their_multistep_sampler_in_our_head(algorithm):
    """Only the sampler changes: the weights load, one step is one answer,
    many steps come near those of DDIM, and calls repeat themselves."""
    ours = build(dict(type='DDIMScheduler'))
    head = build(
        dict(
            type='diffusers.DPMSolverMultistepScheduler',
            algorithm_type=algorithm))
    head.load_state_dict(ours.state_dict())
    one = dict(num_inference_steps=1)
    torch.testing.assert_close(sample(head, **one), sample(ours, **one))
    many = dict(num_inference_steps=50)
    found = sample(head, **many)
    assert torch.equal(found, sample(head, **many))
    if algorithm == 'dpmsolver++':  # the same path, another integrator
        torch.testing.assert_close(
            found, sample(ours, **many), atol=0.02, rtol=0)


def test_training_does_not_depend_on_the_sampler():
    """Their multistep add_noise knows the inference timesteps only."""
    mask = (torch.rand(4, 3, 20) > 0.5).float()
    condition = torch.randn(4, 8, 20)
    logits = []
    for kind in ('DDIMScheduler', 'diffusers.DPMSolverMultistepScheduler'):
        head = build(dict(type=kind))
        sample(head)
        generator = torch.Generator().manual_seed(3)
        logits.append(head(mask, condition, generator=generator).logits)
    torch.testing.assert_close(*logits, atol=1e-5, rtol=0)


@pytest.mark.parametrize('kind, prediction', [
    ('diffusers.FlowMatchEulerDiscreteScheduler', {}),
    ('diffusers.DDIMScheduler', dict(prediction_type='epsilon')),
])
def test_wrong_process_is_refused(kind, prediction):
    with pytest.raises(ValueError, match="prediction_type='sample'"):
        build(dict(type=kind, **prediction))
