"""The diffusion branch: training step, sampler, determinism, learning."""
from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from mmaction.registry import MODELS

import mmaction_actiondiff.models.denoiser  # noqa: F401
from mmaction_actiondiff.models.diffusion_head import (DiffusionHead,
                                                       video_generators)

C, FC = 3, 8


def build(trained=True, **kwargs):
    """``trained``: an output layer that answers something else than 0."""
    head = DiffusionHead(
        C, FC, denoiser=dict(channels=16, num_heads=2), **kwargs).eval()
    if trained:
        torch.nn.init.normal_(head.denoiser.head.weight)
    return head


@MODELS.register_module()
class OracleDenoiser(torch.nn.Module):
    """Knows the mask, records what it is asked."""

    channels = 4

    def __init__(self, num_classes, condition_channels):
        super().__init__()
        self.asked = []

    def forward(self, x, timesteps, condition, valid=None):
        self.asked.append((x, timesteps))
        logits = (2 * self.mask - 1) * 50
        repeats = len(x) // len(logits)
        return (logits.repeat(repeats, 1,
                              1), x.new_zeros(len(x), 4, x.size(2)))


def oracle(mask, **kwargs):
    head = DiffusionHead(C, FC, denoiser=dict(type='OracleDenoiser'), **kwargs)
    head.denoiser.mask = mask
    return head


def random_mask(*shape):
    return (torch.rand(*shape) > 0.6).float()


def valid_until(lengths, total):
    return (torch.arange(total) < torch.tensor(lengths)[:, None])[:, None]


def test_works_from_plain_arguments():
    head = DiffusionHead(num_classes=20, condition_channels=128)
    mask, condition = random_mask(2, 20, 30), torch.randn(2, 128, 30)
    out = head(mask, condition)
    # An untrained head knows nothing: zero logits, probability one half.
    assert (out.logits == 0).all() and (out.prob == 0.5).all()
    assert out.hidden.shape == (2, head.hidden_channels, 30)
    assert head.sample(condition).prob.shape == (2, 20, 30)


@pytest.mark.parametrize('name', ['forward', 'generate'])
def test_projected_once_is_projected_in_every_pass(name):
    head, condition = build(), torch.randn(2, FC, 30)
    args = [random_mask(2, C, 30)] if name == 'forward' else []
    out, expected = (
        getattr(head, name)(
            *args, given, generator=torch.Generator().manual_seed(0))
        for given in (head.project(condition), condition))
    for key in ('logits', 'prob', 'hidden', 'timesteps'):
        assert torch.equal(getattr(out, key), getattr(expected, key))


def test_checkpoint_holds_learned_tensors_only():
    head = DiffusionHead(C, FC)
    parameters = dict(head.named_parameters())
    assert head.state_dict().keys() == parameters.keys()
    assert all(x.dtype == torch.float32 for x in head.state_dict().values())
    other = DiffusionHead(
        C,
        FC,
        scheduler=dict(num_train_timesteps=200),
        num_inference_steps=4,
        snr_scale=1.)
    other.load_state_dict(head.state_dict())


def test_noised_mask_has_the_moments_of_the_process():
    mask = random_mask(64, C, 400)
    head = oracle(mask, snr_scale=4.)
    out = head(mask, torch.zeros(64, FC, 400))
    (x, timesteps), = head.denoiser.asked
    assert torch.equal(timesteps, out.timesteps)
    assert len(timesteps.unique()) > 40  # each video its own
    assert x.abs().max() <= 1
    alpha_bar = head.alphas_cumprod[timesteps].view(-1, 1, 1)
    # Late, where the clipping at s = 4 is rare, x is x_t / s.
    late = timesteps > 800
    x, mask, alpha_bar = x[late], mask[late], alpha_bar[late]
    noise = 4 * x - alpha_bar.sqrt() * 4 * (2 * mask - 1)
    assert float(noise.mean()) == pytest.approx(0, abs=0.06)
    assert float(noise.std()) == pytest.approx(1, abs=0.06)


def test_timesteps_are_uniform():
    head = oracle(torch.zeros(5000, C, 1))
    out = head(torch.zeros(5000, C, 1), torch.zeros(5000, FC, 1))
    counts = out.timesteps.bincount(minlength=1000).view(10, 100).sum(1)
    assert len(counts) == 10 and (counts - 500).abs().max() < 90


def test_ignored_entries_are_neither_action_nor_background():
    head = build()
    mask = torch.tensor([[[1., 0., 0.], [0., 0., 0.], [1., 1., 0.]]])
    weight = torch.tensor([[[1., 0., 1.], [0., 0., 0.], [1., 1., 1.]]])
    expected = torch.tensor([[[.5, 0., -.5], [-.5, -.5, -.5], [.5, .5, -.5]]])
    torch.testing.assert_close(head.to_x_0(mask, weight), expected)


def test_snr_weight_by_hand():
    head = build()
    table = head.alphas_cumprod
    t = int((table - 0.5).abs().argmin())  # snr 1
    found = head.snr_weight(torch.tensor([0, t, 999]))
    torch.testing.assert_close(
        found, torch.tensor([1., 0.2, 0.]), atol=1e-3, rtol=0)
    assert (build(min_snr_gamma=None).snr_weight(torch.arange(9)) == 1).all()


@pytest.mark.parametrize('steps', [1, 2, 8, 50])
@pytest.mark.parametrize('eta', [0., 1.])
@pytest.mark.parametrize('snr_scale', [0.5, 2.])
def test_oracle_recovers_the_mask(steps, eta, snr_scale):
    mask = random_mask(2, C, 25)
    head = oracle(
        mask,
        snr_scale=snr_scale,
        num_inference_steps=steps,
        step_cfg=dict(eta=eta))
    torch.testing.assert_close(head.sample(torch.zeros(2, FC, 25)).prob, mask)
    assert len(head.denoiser.asked) == steps


def test_padding_batch_and_order_do_not_matter():
    head = build(step_cfg=dict(eta=1.), num_samples=2)
    lengths = [40, 7, 23]
    names = ['a', 'b', 'c']
    condition = torch.randn(3, FC, 90)

    def run(order, total):
        chosen = [lengths[i] for i in order]
        return head.sample(
            condition[order, :, :total],
            valid_until(chosen, total),
            generators=video_generators([names[i] for i in order], seed=4))

    full = run([0, 1, 2], 90)
    for order in ([0], [1], [2], [2, 0, 1], [1, 2]):
        longest = max(lengths[i] for i in order)
        for total in (longest, longest + 50):
            out = run(order, total)
            for row, i in enumerate(order):
                for name in ('logits', 'prob', 'hidden', 'sample_std'):
                    found = getattr(out, name)[row]
                    torch.testing.assert_close(
                        found[:, :lengths[i]],
                        getattr(full, name)[i, :, :lengths[i]],
                        atol=1e-4,
                        rtol=1e-4)
                    assert (found[:, lengths[i]:] == 0).all()


def test_seed_and_name_decide_the_noise():
    head = build()
    condition = torch.randn(1, FC, 20).expand(2, FC, 20)

    def run(names, seed):
        return head.sample(
            condition, generators=video_generators(names, seed)).prob

    first = run(['a', 'b'], 0)
    assert torch.equal(first, run(['a', 'b'], 0))
    assert not torch.allclose(first[0], first[1])
    assert not torch.allclose(first, run(['a', 'b'], 1))
    # Nothing touches torch's own generator.
    state = torch.get_rng_state()
    run(['a', 'b'], 0)
    assert torch.equal(torch.get_rng_state(), state)


def test_training_step_repeats_with_a_generator():
    head = build()
    mask, condition = random_mask(4, C, 20), torch.randn(4, FC, 20)
    first, again, other = (
        head(mask, condition, generator=torch.Generator().manual_seed(i))
        for i in (0, 0, 1))
    assert torch.equal(first.logits, again.logits)
    assert not torch.equal(first.timesteps, other.timesteps)


def test_average_over_samples():
    head = build(num_samples=16)
    condition = torch.randn(2, FC, 30)
    out = head.sample(condition, generators=video_generators('ab'))
    assert out.sample_std.shape == out.prob.shape == (2, C, 30)
    assert out.sample_std.max() > 0
    torch.testing.assert_close(out.logits.sigmoid(), out.prob)
    single = build(num_samples=1)
    single.load_state_dict(head.state_dict())
    assert single.sample(condition).sample_std is None


def test_guidance_by_hand():
    """One step, a denoiser whose logits are known: (1 + w) f(c) - w f(0)."""
    head = build(guidance=2., num_inference_steps=1)
    free = build()
    free.load_state_dict(head.state_dict())
    condition = torch.randn(1, FC, 20)
    with torch.no_grad():
        guided, conditional, unconditional = (h.sample(
            c, generators=video_generators('a'),
            num_inference_steps=1).logits for h, c in ((head, condition),
                                                       (free, condition),
                                                       (free, condition * 0)))
    torch.testing.assert_close(guided, 3 * conditional - 2 * unconditional)


def test_softmax_activation():
    head = build(x_0_activation='softmax', num_samples=2)
    # Class 0 at logit log 2: exp 2 : 1 : 1 and the background's 1.
    logits = torch.tensor([2., 1., 1.]).log().view(1, C, 1)
    prob = head.to_prob(logits)
    torch.testing.assert_close(prob.flatten(), torch.tensor([0.4, 0.2, 0.2]))
    valid = torch.ones(1, 1, 1, dtype=torch.bool)
    torch.testing.assert_close(head.to_logits(prob, valid), logits)
    out = head.sample(torch.randn(2, FC, 12))
    assert (out.prob.sum(1) <= 1 + 1e-6).all()


def test_strength_starts_near_the_mask():
    mask = random_mask(2, C, 25)
    head = oracle(mask, num_inference_steps=10)
    condition = torch.zeros(2, FC, 25)
    head.sample(condition, mask=mask, strength=0.3)
    asked = [int(t[0]) for _, t in head.denoiser.asked]
    assert asked == [299, 199, 99]
    # The first input is the noised mask: it still looks like it.
    first = head.denoiser.asked[0][0]
    assert float((first * (2 * mask - 1)).mean()) > 0.5
    head.denoiser.asked.clear()
    head.sample(condition, mask=mask)
    first = head.denoiser.asked[0][0]
    assert abs(float((first * (2 * mask - 1)).mean())) < 0.3


def test_condition_stops_no_gradient_itself():
    """Stopping it is the condition's business (``detach``)."""
    head = build()
    condition = torch.randn(2, FC, 20, requires_grad=True)
    head(random_mask(2, C, 20), condition).logits.sum().backward()
    assert condition.grad.abs().sum() > 0
    assert not head.sample(condition).prob.requires_grad


def test_learns_one_batch():
    """A condition that tells the mask: the sampler finds it again."""
    head = DiffusionHead(
        C, FC, denoiser=dict(channels=16, num_heads=2, dropout=0.))
    mask = torch.zeros(2, C, 24)
    mask[0, 0, 3:9] = mask[0, 0, 15:20] = mask[1, 2, 6:18] = 1
    valid = valid_until([24, 20], 24)
    condition = torch.randn(2, FC, 24)
    # Four timesteps of each video at once.
    batch = [x.repeat(4, 1, 1) for x in (mask, condition, valid)]
    optimizer = torch.optim.Adam(head.parameters(), lr=5e-3)
    for _ in range(150):
        out = head(*batch)
        loss = F.binary_cross_entropy_with_logits(
            out.logits, batch[0], reduction='none')
        loss = (loss * batch[2] * out.snr_weight.view(-1, 1, 1)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    head.eval()
    for steps in (1, 8):
        out = head.sample(condition, valid, video_generators('ab'), steps)
        assert torch.equal(out.prob > 0.5, mask.bool())


@pytest.mark.parametrize('length', [1, 2])
def test_short_videos(length):
    head = build(num_samples=2)
    out = head(random_mask(2, C, length), torch.randn(2, FC, length))
    assert out.logits.isfinite().all()
    assert head.sample(torch.randn(2, FC, length)).prob.isfinite().all()


def test_sampler_stays_in_float32_under_autocast():
    head = build()
    condition = torch.randn(2, FC, 20)

    def run():
        return head.sample(condition, generators=video_generators('ab'))

    with torch.autocast('cpu', torch.bfloat16):
        out = run()
    assert {x.dtype
            for x in (out.logits, out.prob, out.hidden)} == {torch.float32}
    assert (out.prob - run().prob).abs().mean() < 0.05


@pytest.mark.parametrize('kwargs, message', [
    (dict(snr_scale=0), 'snr_scale must be > 0, got 0'),
    (dict(min_snr_gamma=-1), 'min_snr_gamma must be > 0, got -1'),
    (dict(num_samples=0), 'num_samples must be >= 1, got 0'),
    (dict(x_0_activation='tanh'), "got 'tanh'"),
    (dict(scheduler=dict(type='NoScheduler')), "'NoScheduler' is neither"),
    (dict(scheduler=dict(type='nowhere.DDIM')), "'nowhere.DDIM' is neither"),
    (dict(scheduler=dict(prediction_type='epsilon')), "'epsilon'"),
])
def test_constructor_errors(kwargs, message):
    with pytest.raises(ValueError, match=message):
        build(**kwargs)


def test_call_errors():
    head = build()
    condition = torch.randn(2, FC, 9)
    with pytest.raises(ValueError, match=r'\(2, 3, 9\).*got \(2, 3, 8\)'):
        head(random_mask(2, C, 8), condition)
    with pytest.raises(ValueError, match='2 videos, got 3'):
        head.sample(condition, generators=video_generators('abc'))
    with pytest.raises(ValueError, match='got 1.5'):
        head.sample(condition, strength=1.5)
    with pytest.raises(ValueError, match='pass mask'):
        head.sample(condition, strength=0.5)
    for steps in (0, 1001):
        with pytest.raises(ValueError, match=rf'\[1, 1000\], got {steps}'):
            head.sample(condition, num_inference_steps=steps)


@pytest.mark.parametrize('num_samples', [1, 2])
def test_samples_can_be_learned_from(num_samples):
    head, weight = build(num_samples=num_samples), torch.ones(1)
    weight.requires_grad_()
    head.train()
    out = head.sample(torch.randn(1, FC, 12))
    assert not any(x.is_inference() for x in out if x is not None)
    (out.prob * weight).sum().backward()
    assert weight.grad > 0
    # What the sampling has left behind does not spoil a training step.
    head(random_mask(1, C, 12), torch.randn(1, FC, 12)).logits.sum().backward()
