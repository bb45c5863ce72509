"""Every term against numbers worked out by hand."""
from math import exp, log, sqrt
from types import SimpleNamespace

import pytest
import torch

from mmaction_actiondiff.models import losses as L
from mmaction_actiondiff.models.branches.base import BranchOutput
from mmaction_actiondiff.models.mask_generator import PseudoMask


def denoise(logits, snr_weight=None):
    return SimpleNamespace(
        logits=logits,
        prob=logits.sigmoid(),
        snr_weight=torch.ones(len(logits))
        if snr_weight is None else snr_weight)


def row(*values):
    return torch.tensor([[values]], dtype=torch.float32)


def ones(*shape):
    return torch.ones(*shape, dtype=torch.bool)


def test_topk_pool():
    x = torch.tensor([[[1., 4., 2., 3., 9., 9.]], [[1., 4., 2., 3., 8., 6.]]])
    valid = torch.arange(6) < torch.tensor([[[4]], [[6]]])
    # k = 2 of four valid snippets: (4 + 3) / 2; k = 3 of six: 18 / 3
    assert L.topk_pool(x, valid, 2).tolist() == [[3.5], [6.]]
    # k > T cannot happen; a ratio beyond T pools the single best snippet
    assert L.topk_pool(x, valid, 100).tolist() == [[4.], [8.]]


def test_suppress_background():
    cas = torch.tensor([[[4.], [-2.], [0.]]])
    out = L.suppress_background(cas, row(.5))
    assert out.flatten().tolist() == [1., -2., -1.]


def test_mil_loss():
    logits = torch.tensor([[log(2.), log(1.), log(1.)]])
    target = torch.tensor([[1., 1., 0.]])
    expected = -(log(.5) + log(.25)) / 2
    assert L.mil_loss(logits, target).item() == pytest.approx(expected)
    assert L.mil_loss(logits, torch.zeros(1, 3)) == 0


def test_norm_loss():
    valid = torch.tensor([[[True, True, False]]])
    assert L.norm_loss(row(.2, .4, 9.), valid).item() == pytest.approx(.3)


def test_guide_loss():
    cas = torch.tensor([[[0., 0.], [log(3.), 0.]]])  # background .75 and .5
    out = L.guide_loss(row(.5, .9), cas, ones(1, 1, 2))
    assert out.item() == pytest.approx((.25 + .4) / 2)


def test_mutual_loss():
    first = row(.2, .8).requires_grad_()
    second = row(.6, .8)
    out = L.mutual_loss(first, second, ones(1, 1, 2))
    assert out.item() == pytest.approx(.16 / 2)
    out.backward()  # only through the half where the first is not the target
    assert first.grad.flatten().tolist() == pytest.approx([-.2, 0.])


def test_co_activity_loss():
    # T = 2, the CAS so sharp that H is snippet 0 and L snippet 1.
    feature = torch.tensor([[[1., 0.], [0., 1.]], [[0., 1.], [1., 0.]]])
    cas = torch.tensor([[50., 0.]]).repeat(2, 2, 1)
    label = torch.ones(2, 1)
    valid = ones(2, 1, 2)
    # H0 = e0, L0 = e1, H1 = e1, L1 = e0: d(H,H) = 1, d(H0,L1) = 0 = d(L0,H1)
    out = L.co_activity_loss(feature, cas, label, valid, margin=.5)
    assert out.item() == pytest.approx(1.5)
    alike = torch.stack([feature[0], feature[0]])
    assert L.co_activity_loss(alike, cas, label, valid).item() == 0
    apart = torch.eye(2)  # no class in common
    cas3 = torch.randn(2, 3, 2)
    assert L.co_activity_loss(feature, cas3, apart, valid) == 0
    assert L.co_activity_loss(feature, cas3, torch.zeros(2, 2), valid) == 0


def test_gce_loss():
    out = L.gce_loss(row(.5, .2, .9), row(1., 0., 0.), ones(1, 1, 3), q=.5)

    def term(p):
        return (1 - sqrt(p)) / .5

    expected = (term(.5) + (term(.8) + term(.1)) / 2) / 2
    assert out.item() == pytest.approx(expected, rel=1e-5)


def test_uncertainty_margin_loss():
    cas = torch.tensor([[[3., 1.], [4., 0.]]])
    mask = torch.tensor([[[1., 0.], [1., 0.]]])
    # action = |(3/2, 4/2)| = 2.5, background = |(1/2, 0)| = .5
    out = L.uncertainty_margin_loss(cas, mask, ones(1, 1, 2), margin=4.)
    assert out.item() == pytest.approx((1.5 + .5)**2, rel=1e-5)
    out = L.uncertainty_margin_loss(cas, mask, ones(1, 1, 2), margin=1.)
    assert out.item() == pytest.approx(.25, rel=1e-5)


def test_learned_entries():
    torch.manual_seed(0)
    label = torch.tensor([[1., 0., 0., 0.], [0., 1., 1., 0.]])
    weight = torch.zeros(2, 4, 3)
    weight[0, 0, 0] = 1
    pseudo = PseudoMask(torch.zeros(2, 4, 3), weight, torch.zeros(2, 1, 3))
    assert L.learned_entries(pseudo, label, ones(2, 1, 3), 0) is weight
    valid = torch.tensor([[[True, True, False]], [[True, True, True]]])
    seen = []
    for _ in range(50):
        out = L.learned_entries(pseudo, label, valid, 1)
        assert out[0].sum() == 1 + 2 and out[1].sum() == 3
        assert out[0, 0].tolist() == [1, 0, 0] and not out[1, 1:3].any()
        seen.append(int(out[0, 1:, 0].argmax()))
    assert set(seen) == {0, 1, 2}
    everything = L.learned_entries(pseudo, label, valid, 9)
    assert everything[1].sum() == 2 * 3 and everything[0].sum() == 1 + 3 * 2


@pytest.mark.parametrize('kind, expected', [
    ('bce', (log(4 / 3) + .5 * log(2)) / 2),
    ('mse', (.25**2 + .5 * .5**2) / 2),
])
def test_diffusion_loss(kind, expected):
    logits = torch.tensor([[[log(3.), 7.]], [[0., 7.]]])
    mask = torch.tensor([[[1., 0.]], [[0., 0.]]])
    weight = torch.tensor([[[1., 0.]], [[1., 0.]]])
    out = L.diffusion_loss(
        denoise(logits, torch.tensor([1., .5])), mask, weight, kind)
    assert out.item() == pytest.approx(expected)


def test_diffusion_loss_does_not_depend_on_the_number_of_classes():
    norms = []
    for num_classes in (20, 100, 200):
        torch.manual_seed(0)
        logits = torch.zeros(4, num_classes, 50, requires_grad=True)
        label = torch.zeros(4, num_classes)
        label[:, 0] = 1
        mask = torch.zeros(4, num_classes, 50)
        mask[:, 0, :7] = 1
        weight = label.unsqueeze(-1).expand(-1, -1, 50)
        pseudo = PseudoMask(mask, weight, mask.amax(1, True))
        entries = L.learned_entries(pseudo, label, ones(4, 1, 50), 1)
        L.diffusion_loss(denoise(logits), mask, entries).backward()
        norms.append(logits.grad.norm().item())
    assert max(norms) < 1.2 * min(norms) and min(norms) > 0


def test_diffusion_loss_learns_the_mask():
    # Its optimum is the mask itself, also with very many absent classes.
    logits = torch.zeros(1, 200, 10, requires_grad=True)
    mask = torch.zeros(1, 200, 10)
    mask[0, 3, 2:5] = 1
    weight = torch.zeros_like(mask)
    weight[0, 3:5] = 1
    optimiser = torch.optim.Adam([logits], lr=.5)
    for _ in range(60):
        optimiser.zero_grad()
        L.diffusion_loss(denoise(logits), mask, weight).backward()
        optimiser.step()
    learned = (logits > 0).float() * weight
    assert torch.equal(learned, mask * weight)


def test_smoothness_loss():
    p = [.5, .25, .25, exp(-9.)]
    logits = row(*[log(x / (1 - x)) for x in p])
    label = torch.ones(1, 1)
    expected = (log(2.)**2 + 0 + 16) / 3  # the last step is truncated
    out = L.smoothness_loss(logits, label, ones(1, 1, 4))
    assert out.item() == pytest.approx(expected, rel=1e-4)
    valid = torch.tensor([[[True, True, True, False]]])
    out = L.smoothness_loss(logits, label, valid)
    assert out.item() == pytest.approx(log(2.)**2 / 2, rel=1e-4)
    assert L.smoothness_loss(logits, torch.zeros(1, 1), valid) == 0


def test_consistency_loss():
    branch = BranchOutput(
        torch.zeros(1, 1, 2), torch.zeros(1, 2, 2), row(.5, .1))
    fused = branch._replace(cas=torch.tensor([[[log(3.), 0.], [0., 0.]]]))
    denoised = denoise(torch.zeros(1, 1, 2))  # p = .5
    label, valid = torch.ones(1, 1), ones(1, 1, 2)
    out = L.consistency_loss(branch, fused, denoised, label, valid)
    assert out.item() == pytest.approx(.16 / 2)
    out = L.consistency_loss(branch, fused, denoised, label, valid, branch)
    # softmax: (.75, .25) against (.5, .5) at the first snippet
    assert out.item() == pytest.approx(.16 / 2 + 2 * .25**2 / 2)


def full_batch(length=6, num_videos=2, labels=True):
    torch.manual_seed(0)

    def output():
        attention = torch.rand(num_videos, 1, length)
        return BranchOutput(
            torch.randn(num_videos, 5, length),
            torch.randn(num_videos, 4, length), attention,
            (attention * .9, attention * .8))

    label = torch.zeros(num_videos, 3)
    label[:, 0] = float(labels)
    mask = torch.zeros(num_videos, 3, length)
    mask[:, 0, 0] = float(labels)
    pseudo = PseudoMask(mask, (label.unsqueeze(-1) + mask * 0),
                        mask.amax(1, True))
    denoised = denoise(torch.randn(num_videos, 3, length))
    return output(), label, ones(num_videos, 1, length), pseudo, denoised, \
        denoised, output(), output()


WEIGHTS = {
    'mil_weight': ('mil', 'mil_suppressed'),
    'suppressed_weight': ('mil_suppressed', 'mil_suppressed_fused'),
    'fused_weight': ('mil_fused', 'mil_suppressed_fused'),
    'norm_weight': ('norm', ),
    'guide_weight': ('guide', ),
    'mutual_weight': ('mutual', ),
    'co_activity_weight': ('co_activity', ),
    'gce_weight': ('gce', ),
    'margin_weight': ('margin', ),
    'diffusion_weight': ('diffusion', ),
    'smooth_weight': ('smooth', ),
    'consistency_weight': ('consistency', ),
}


@pytest.mark.parametrize('name', WEIGHTS)
def test_each_weight_scales_its_own_term(name):
    batch = full_batch()
    every = dict.fromkeys(WEIGHTS, 1.)
    torch.manual_seed(1)
    one = L.ActionDiffLoss(**every)(*batch)
    torch.manual_seed(1)
    three = L.ActionDiffLoss(**{**every, name: 3.})(*batch)
    assert set(one) == {
        f'loss_{term}'
        for terms in WEIGHTS.values()
        for term in terms
    }
    for key, value in one.items():
        factor = 3 if key[5:] in WEIGHTS[name] else 1
        torch.testing.assert_close(three[key], factor * value)
        assert value.isfinite() and value.ndim == 0
    if name != 'mil_weight':
        without = L.ActionDiffLoss(**{**every, name: 0.})(*batch)
        assert not {f'loss_{term}' for term in WEIGHTS[name]} & set(without)


def test_ramp_scales_the_fused_terms():
    batch = full_batch()
    full = L.ActionDiffLoss()(*batch)
    half = L.ActionDiffLoss()(*batch, ramp=.5)
    for key in ('mil_fused', 'mil_suppressed_fused', 'consistency'):
        torch.testing.assert_close(half[f'loss_{key}'],
                                   full[f'loss_{key}'] / 2)
    torch.testing.assert_close(half['loss_smooth'], full['loss_smooth'])


@pytest.mark.parametrize('length', [1, 2])
@pytest.mark.parametrize('labels', [True, False])
def test_degenerate_batches_give_finite_losses(length, labels):
    batch = full_batch(length, num_videos=1, labels=labels)
    every = L.ActionDiffLoss(gce_weight=1., margin_weight=1., mil_ratio=9)
    for value in every(*batch).values():
        assert value.isfinite()


def test_bad_ratio():
    with pytest.raises(ValueError, match=r'must be >= 1, got \[7, 0\]'):
        L.ActionDiffLoss(mil_ratio=[7, 0])


def test_several_pooling_ratios_are_averaged():
    branch, label, valid = full_batch(12)[:3]
    one, other, both = (
        L.ActionDiffLoss(mil_ratio=r)(branch, label, valid)['loss_mil']
        for r in (2, 5, [2, 5]))
    assert one != other
    torch.testing.assert_close(both, (one + other) / 2)


def test_cross_entropy_over_classes_and_background():
    # softmax of (log 2, log 1, 0): 1/2, 1/4, background 1/4
    logits = torch.tensor([[[log(2.)] * 3, [0.] * 3]])
    mask = torch.tensor([[[1., 1., 0.], [0., 1., 0.]]])
    weight = torch.ones(1, 2, 3)
    out = L.diffusion_loss(denoise(logits), mask, weight, 'ce')
    shared = (log(2.) + log(4.)) / 2
    assert out.item() == pytest.approx((log(2.) + shared + log(4.)) / 3)
    # one class does not trust its mask: the snippet teaches nothing
    weight[0, 1, 1] = 0
    out = L.diffusion_loss(denoise(logits), mask, weight, 'ce')
    assert out.item() == pytest.approx((log(2.) + log(4.)) / 2)


def test_cross_entropy_needs_all_negatives():
    with pytest.raises(ValueError, match='num_negatives=None, got 1'):
        L.ActionDiffLoss(diffusion_kind='ce')
    label = torch.tensor([[1., 0., 0.]])
    trusted = torch.zeros(1, 3, 4)
    trusted[0, 0, :2] = 1
    pseudo = PseudoMask(trusted, trusted, trusted[:, :1])
    valid = torch.tensor([[[True, True, True, False]]])
    learned = L.learned_entries(pseudo, label, valid, None)
    assert learned[0].tolist() == [[1, 1, 0, 0], [1, 1, 1, 0], [1, 1, 1, 0]]
