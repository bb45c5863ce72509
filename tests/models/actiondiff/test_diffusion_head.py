"""The diffusion branch and its control: training, sampling, learning."""
from __future__ import annotations

import pytest
import torch
from mmaction.registry import MODELS

from mmaction_actiondiff.models import DiffusionHead, SelfTrainingHead
from mmaction_actiondiff.models.actiondiff.diffusion_head import \
    video_generators
from mmaction_actiondiff.models.actiondiff.loss import diffusion_loss
from mmaction_actiondiff.models.actiondiff.mask_generator import PseudoMask

C, FC = 3, 8


def build(kind=DiffusionHead, **kwargs):
    """With an output layer whose answers are far from the prior."""
    torch.manual_seed(0)
    head = kind(C, FC, denoiser=dict(channels=16), **kwargs).eval()
    torch.nn.init.normal_(head.denoiser.head.weight)
    return head


@MODELS.register_module()
class OracleDenoiser(torch.nn.Module):
    """Knows the mask, records what it is asked."""

    def __init__(self, num_classes, condition_channels):
        super().__init__()
        self.asked = []

    def forward(self, x, timesteps, condition, valid):
        self.asked.append((x, timesteps))
        logits = (2 * self.mask - 1) * 50
        repeats = len(x) // len(logits)
        return (logits.repeat(repeats, 1,
                              1), x.new_zeros(len(x), 4, x.size(2)))


def oracle(mask, **kwargs):
    head = DiffusionHead(C, FC, denoiser=dict(type='OracleDenoiser'), **kwargs)
    head.denoiser.mask = mask
    return head


def one_class(*shape):
    """Masks of which at most one holds a snippet, all of them trusted."""
    mask = torch.zeros(*shape)
    mask.scatter_(1, torch.randint(shape[1], shape[:1] + (1, shape[2])), 1.)
    return mask * (torch.rand(shape[0], 1, shape[2]) > .4)


def pseudo(mask, weight=None):
    weight = torch.ones_like(mask) if weight is None else weight
    return PseudoMask(mask, weight, mask.amax(1, keepdim=True))


def whole(x):
    return torch.ones_like(x[:, :1], dtype=torch.bool)


def sample(head, condition, names=None):
    names = names or [str(i) for i in range(len(condition))]
    return head.sample(condition, whole(condition), video_generators(names))


@pytest.mark.parametrize('kind', [DiffusionHead, SelfTrainingHead])
def test_every_pass_has_the_same_outputs(kind):
    head, condition = build(kind), torch.randn(2, FC, 30)
    valid = whole(condition)
    for out in (head(pseudo(one_class(2, C, 30)), condition,
                     valid), head.generate(condition,
                                           valid), sample(head, condition)):
        assert out.logits.shape == out.prob.shape == (2, C, 30)
        assert out.hidden.shape == (2, 16, 30)
        assert (out.prob >= 0).all() and (out.prob.sum(1) <= 1 + 1e-6).all()
    assert not sample(head, condition).prob.requires_grad
    names = dict(head.named_parameters()).keys()
    assert head.state_dict().keys() == names  # learned tensors only


def test_probabilities_share_with_a_background_of_logit_zero():
    head = build(SelfTrainingHead)
    # exp 2 : 1 : 1 and the background's 1
    logits = torch.tensor([2., 1., 1.]).log().view(1, C, 1)
    head.denoiser.forward = lambda *args: (logits, logits)
    prob = head.generate(torch.zeros(1, FC, 1), torch.ones(1, 1, 1) > 0).prob
    torch.testing.assert_close(prob.flatten(), torch.tensor([.4, .2, .2]))


def test_noised_mask_has_the_moments_of_the_process():
    mask = one_class(64, C, 400)
    head = oracle(mask, snr_scale=4.)
    head(pseudo(mask), torch.zeros(64, FC, 400), whole(mask))
    (x, timesteps), = head.denoiser.asked
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
    mask = torch.zeros(5000, C, 1)
    head = oracle(mask)
    head(pseudo(mask), torch.zeros(5000, FC, 1), whole(mask))
    timesteps = head.denoiser.asked[0][1]
    counts = timesteps.bincount(minlength=1000).view(10, 100).sum(1)
    assert len(counts) == 10 and (counts - 500).abs().max() < 90


def test_ignored_entries_are_neither_action_nor_background(monkeypatch):
    mask = torch.tensor([[[1., 0., 0.], [0., 0., 0.], [1., 1., 0.]]])
    weight = torch.tensor([[[1., 0., 1.], [0., 0., 0.], [1., 1., 1.]]])
    head = oracle(mask)
    # No noise yet: the first timestep of the process, and none drawn.
    monkeypatch.setattr(torch, 'randint', lambda *a, **k: torch.tensor([0]))
    monkeypatch.setattr(torch, 'randn', lambda *a, **k: torch.zeros(a[0]))
    head(pseudo(mask, weight), torch.zeros(1, FC, 3), whole(mask))
    expected = torch.tensor([[[1., 0., -1.], [-1., -1., -1.], [1., 1., -1.]]])
    torch.testing.assert_close(
        head.denoiser.asked[0][0], expected, atol=1e-3, rtol=0)


@pytest.mark.parametrize('steps', [1, 2, 8, 50])
@pytest.mark.parametrize('snr_scale', [0.5, 2.])
def test_oracle_recovers_the_mask(steps, snr_scale):
    mask = one_class(2, C, 25)
    head = oracle(mask, snr_scale=snr_scale, num_inference_steps=steps)
    found = sample(head, torch.zeros(2, FC, 25)).prob
    torch.testing.assert_close(found, mask)
    asked = [int(t[0]) for _, t in head.denoiser.asked]
    assert len(asked) == steps and asked[0] == 999
    assert head.denoiser.asked[0][0].abs().max() <= 1


@pytest.mark.parametrize('kind', [DiffusionHead, SelfTrainingHead])
def test_padding_batch_and_order_do_not_matter(kind):
    head = build(kind)
    lengths, names = [40, 7, 23], ['a', 'b', 'c']
    condition = torch.randn(3, FC, 90)

    def run(order, total):
        valid = torch.arange(total) < torch.tensor(lengths)[order][:, None]
        generators = video_generators([names[i] for i in order], seed=4)
        return head.sample(condition[order, :, :total], valid[:, None],
                           generators)

    full = run([0, 1, 2], 90)
    for order in ([0], [1], [2, 0, 1], [1, 2]):
        longest = max(lengths[i] for i in order)
        for total in (longest, longest + 50):
            for found, expected in zip(run(order, total), full):
                for row, i in enumerate(order):
                    torch.testing.assert_close(
                        found[row, :, :lengths[i]],
                        expected[i, :, :lengths[i]],
                        atol=1e-4,
                        rtol=1e-4)
                    assert (found[row, :, lengths[i]:] == 0).all()


def test_seed_and_name_decide_the_noise():
    head = build()
    condition = torch.randn(1, FC, 20).expand(2, FC, 20)
    valid = whole(condition)

    def run(names, seed):
        return head.sample(condition, valid, video_generators(names,
                                                              seed)).prob

    state = torch.get_rng_state()
    first = run(['a', 'b'], 0)
    assert torch.equal(first, run(['a', 'b'], 0))
    assert not torch.allclose(first[0], first[1])
    assert not torch.allclose(first, run(['a', 'b'], 1))
    # Nothing touches torch's own generator.
    assert torch.equal(torch.get_rng_state(), state)


def test_more_samples_are_their_mean():
    condition = torch.randn(2, FC, 30)
    many, single = build(num_samples=4), build(num_samples=1)
    # The generators hand out the samples one after the other.
    generators = video_generators('ab')
    found = build(
        num_samples=4,
        num_inference_steps=1).sample(condition, whole(condition), generators)
    noise = [
        torch.randn(4, C, 30, generator=g) for g in video_generators('ab')
    ]
    expected = torch.stack([
        single.generate(condition, whole(condition),
                        torch.stack([n[i] for n in noise])).prob
        for i in range(4)
    ]).mean(0)
    torch.testing.assert_close(found.prob, expected)
    assert not torch.allclose(
        sample(many, condition).prob,
        sample(single, condition).prob)


@pytest.mark.parametrize('kind', [DiffusionHead, SelfTrainingHead])
def test_learns_one_batch(kind):
    """A condition that tells the mask: the sampler finds it again."""
    torch.manual_seed(0)
    head = kind(C, FC, denoiser=dict(channels=32, dropout=0.))
    mask = torch.zeros(2, C, 24)
    mask[0, 0, 3:9] = mask[0, 0, 15:20] = mask[1, 2, 6:18] = 1
    valid = torch.arange(24) < torch.tensor([[[24]], [[20]]])
    condition = torch.randn(2, FC, 24)
    # Four timesteps of each video at once.
    mask4, condition4, valid4 = (
        x.repeat(4, 1, 1) for x in (mask, condition, valid))
    label = torch.ones(8, C)
    optimizer = torch.optim.Adam(head.parameters(), lr=5e-3)
    for _ in range(150):
        out = head(pseudo(mask4), condition4, valid4)
        loss = diffusion_loss(out.logits, pseudo(mask4, valid4.float()), label,
                              valid4)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert all(p.grad is not None for p in head.parameters())
    idle = {n for n, p in head.named_parameters() if not p.grad.any()}
    # The control's mask layer is fed zeros: a gradient of zero, not none.
    control = kind is SelfTrainingHead
    assert idle == ({'denoiser.stem.weight'} if control else set())
    found = head.eval().sample(condition, valid, video_generators('ab'))
    assert torch.equal(found.prob > 0.5, mask.bool())


def test_the_control_is_the_same_network_without_diffusion():
    plain, diffusion = build(SelfTrainingHead), build()
    diffusion.load_state_dict(plain.state_dict())  # strict
    condition = torch.randn(2, FC, 9)
    valid, generators = whole(condition), video_generators('ab')
    before = generators[0].get_state()
    logits, hidden = diffusion.denoiser(
        torch.zeros(2, C, 9),
        torch.zeros(2).long(), condition, valid)
    for out in (plain.sample(condition, valid, generators),
                plain(pseudo(one_class(2, C, 9)), condition, valid),
                plain.generate(condition, valid, torch.randn(2, C, 9))):
        torch.testing.assert_close(out.logits, logits)
        torch.testing.assert_close(out.hidden, hidden)
    assert torch.equal(generators[0].get_state(), before)
    assert not hasattr(plain, 'scheduler')


@pytest.mark.parametrize('kind', [DiffusionHead, SelfTrainingHead])
def test_float32_under_autocast(kind):
    head, condition = build(kind), torch.randn(2, FC, 20)
    with torch.autocast('cpu', torch.bfloat16):
        out = sample(head, condition)
    assert {x.dtype for x in out} == {torch.float32}
    assert (out.prob - sample(head, condition).prob).abs().mean() < 0.05


@pytest.mark.parametrize('kwargs, message', [
    (dict(snr_scale=0), 'snr_scale must be > 0, got 0'),
    (dict(num_samples=0), 'num_samples must be >= 1, got 0'),
    (dict(num_inference_steps=0), r'\[1, 1000\], got 0'),
    (dict(num_inference_steps=1001), r'\[1, 1000\], got 1001'),
])
def test_constructor_errors(kwargs, message):
    with pytest.raises(ValueError, match=message):
        build(**kwargs)
