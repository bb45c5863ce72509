"""The condition: its modes, what it hides, where gradients stop."""
from __future__ import annotations

import pytest
import torch

from mmaction_actiondiff.models.condition import (MODES, ActionCondition,
                                                  class_similarity,
                                                  hidden_snippets)

C, E = 3, 6


def build(mode='attn_feat', **kwargs):
    return ActionCondition(
        C, E, condition_channels=5, input_channels=4, mode=mode, **kwargs)


def inputs(num_videos=2, length=12):
    return dict(
        inputs=torch.randn(num_videos, 4, length),
        feature=torch.randn(num_videos, E, length),
        cas=torch.randn(num_videos, C + 1, length),
        attention=torch.rand(num_videos, 1, length),
        mask=(torch.rand(num_videos, C, length) > 0.6).float(),
        label=torch.ones(num_videos, C))


def pad(batch, value):
    return {
        k:
        v if k == 'label' else torch.nn.functional.pad(
            v, (0, 50), value=0 if k == 'mask' else value)
        for k, v in batch.items()
    }


@pytest.mark.parametrize('mode', MODES)
def test_padding_is_not_seen(mode):
    module = build(mode).eval()
    batch = inputs()
    expected = module(**batch)
    assert expected.shape == (2, 5, 12) and expected.abs().sum() > 0
    valid = (torch.arange(62) < 12).expand(2, 1, 62)
    padded = module(**pad(batch, 7.), valid=valid)
    torch.testing.assert_close(padded[..., :12], expected)
    assert (padded[..., 12:] == 0).all()


@pytest.mark.parametrize('mode', MODES)
@pytest.mark.parametrize('detach', [True, False])
def test_gradient_into_the_base(mode, detach):
    module = build(mode, detach=detach)
    batch = inputs()
    sources = [batch[k].requires_grad_() for k in ('feature', 'cas')]
    module.eval()(**batch).square().sum().backward()
    reached = any(x.grad is not None for x in sources)
    assert reached is (not detach and 'input' not in mode)
    assert all(p.grad is not None for p in module.parameters())


def test_attention_gates_the_features():
    module = build().eval()
    batch = inputs()
    full = module(**dict(batch, attention=torch.ones(2, 1, 12)))
    torch.testing.assert_close(module(**batch), full * batch['attention'])
    # Scale of the features does not matter, the gate's does.
    mean, std = full.mean(1), full.std(1, unbiased=False)
    torch.testing.assert_close(mean, torch.zeros(2, 12), atol=1e-5, rtol=0)
    torch.testing.assert_close(std, torch.ones(2, 12), atol=1e-2, rtol=0)


def test_token_stands_outside_the_mask():
    module = build('topk_feat').eval()
    batch = inputs()
    batch['mask'] = torch.zeros(2, C, 12)
    batch['mask'][:, 1, 3:5] = 1
    condition = module(**batch)
    token = module.token.expand(2, 5, 10)
    outside = [0, 1, 2, *range(5, 12)]
    torch.testing.assert_close(condition[..., outside], token)
    torch.testing.assert_close(condition[..., 3:5],
                               module.embed(batch['feature'])[..., 3:5])


def test_background_is_not_a_condition():
    module = build('cas').eval()
    batch = inputs()
    expected = module(**batch)
    batch['cas'][:, -1] += 5
    torch.testing.assert_close(module(**batch), expected)
    batch['cas'][:, 0] += 5
    assert (module(**batch) - expected).abs().max() > 0.1


def test_class_similarity_by_hand():
    feature = torch.tensor([[[1., 0., 3., 9.], [0., 1., 4., 9.]]])
    # Class 0 looks at snippet 0 only, class 1 at 0 and 1 alike.
    cas = torch.tensor([[[50., 0., 0., 99.], [50., 50., 0., 99.]]])
    valid = torch.tensor([[[True, True, True, False]]])
    expected = torch.tensor([[1., 0., 0.6], [0.5**.5, 0.5**.5, 0.7 * 2**.5]])
    found = class_similarity(feature, cas, valid)[0, :, :3]
    torch.testing.assert_close(found, expected)


def test_absent_classes_do_not_matter():
    module = build('class_feat').eval()
    batch = inputs()
    batch['label'] = torch.tensor([[1., 0., 0.], [0., 1., 1.]])
    expected = module(**batch)
    changed = dict(batch, cas=batch['cas'].clone())
    changed['cas'][0, 1] = torch.randn(12)
    torch.testing.assert_close(module(**changed), expected)
    changed['cas'][0, 0] = torch.randn(12)
    assert (module(**changed) - expected).abs().max() > 1e-4


def test_label_noise():
    module = build('class_feat', label_noise=0.25)
    label = torch.zeros(20000, C)
    label[:, 1] = 1
    noisy = module.corrupt(label, torch.Generator().manual_seed(0))
    rate = noisy.mean(0)
    # Kept unless dropped (3/4), or drawn again (1/4 of 1/3).
    assert float(rate[1]) == pytest.approx(1 - 0.25 * (1 - 0.25 / 3), abs=.01)
    assert float(rate[0]) == pytest.approx(0.25 / 3, abs=0.01)
    assert float(rate[2]) == pytest.approx(0.25 / 3, abs=0.01)
    silent = build('class_feat', label_noise=0.).corrupt(label, None)
    assert torch.equal(silent, label)


def bits(text):
    return torch.tensor([[[float(c) for c in text]]])


@pytest.mark.parametrize('union, valid, expected', [
    ('000111100000', '111111111111', '011111111000'),
    ('110000000000', '111111111111', '111100000000'),
    ('000000000011', '111111111111', '000000001111'),
    ('000000000000', '111111111111', '000000000000'),
    ('001111110000', '111111110000', '111100000000'),
    ('1', '1', '0'),
])
def test_boundaries_by_hand(union, valid, expected):
    hidden = hidden_snippets(bits(union), bits(valid) > 0, (0., 1., 0.))
    assert torch.equal(hidden.float(), bits(expected))


def test_one_whole_run_is_hidden():
    union = bits('101100111000').expand(3000, 1, 12)
    valid = torch.ones_like(union, dtype=torch.bool)
    hidden = hidden_snippets(union, valid, (0., 0., 1.))
    runs, counts = hidden.float().unique(dim=0, return_counts=True)
    expected = [
        bits(b) for b in ('000000111000', '001100000000', '100000000000')
    ]
    torch.testing.assert_close(runs, torch.cat(expected))
    assert (counts > 900).all()
    nothing = hidden_snippets(union * 0, valid, (0., 0., 1.))
    assert not nothing.any()


def test_shares_of_what_is_hidden():
    union = bits('000111110000').expand(20000, 1, 12)
    valid = torch.ones_like(union, dtype=torch.bool)
    hidden = hidden_snippets(union, valid, (0.2, 0.3, 0.1)).float()
    # Boundary: two on each side of 2|3 and of 7|8.
    kinds = [
        bits(b) for b in ('111111111111', '011110111100', '000111110000',
                          '000000000000')
    ]
    rates = [(hidden == kind).all(-1).float().mean() for kind in kinds]
    torch.testing.assert_close(
        torch.stack(rates),
        torch.tensor([0.2, 0.3, 0.1, 0.4]),
        atol=0.015,
        rtol=0)


def test_hides_only_while_training():
    module = build(zero_prob=1., boundary_prob=0., segment_prob=0.)
    batch = inputs()
    condition = module(**batch)
    assert condition.abs().sum() > 0
    union = batch['mask'].amax(1, keepdim=True)
    valid = torch.ones_like(union, dtype=torch.bool)
    assert (module.hide(condition, union, valid) == 0).all()
    assert torch.equal(module.eval().hide(condition, union, valid), condition)


def test_hides_the_same_in_every_share():
    module = build(zero_prob=0.5, boundary_prob=0.3, segment_prob=0.2)
    batch = inputs(num_videos=16)
    condition, union = module(**batch), batch['mask'].amax(1, keepdim=True)
    valid = torch.ones_like(union, dtype=torch.bool)
    shares = (condition, 2 * condition[:, :3])

    def hide(what):
        return module.hide(
            what, union, valid, generator=torch.Generator().manual_seed(0))

    first, second = hide(shares)
    expected = hide(condition)
    assert (expected == 0).any() and (expected != 0).any()
    assert torch.equal(first, expected)
    assert torch.equal(second, 2 * expected[:, :3])


def test_generator_decides():
    module = build()
    batch = inputs(num_videos=16)
    condition, union = module(**batch), batch['mask'].amax(1, keepdim=True)
    valid = torch.ones_like(union, dtype=torch.bool)
    first, again, other = (
        module.hide(
            condition,
            union,
            valid,
            generator=torch.Generator().manual_seed(i)) for i in (0, 0, 1))
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_errors_name_the_value():
    with pytest.raises(ValueError, match="got 'feat'"):
        build('feat')
    with pytest.raises(ValueError, match=r'got \(0.5, 0.4, 0.2\)'):
        build(zero_prob=0.5, boundary_prob=0.4, segment_prob=0.2)
    batch = inputs()
    with pytest.raises(ValueError, match=r'cas \(N, 4, T\).*\(2, 3, 12\)'):
        build()(**dict(batch, cas=batch['cas'][:, 1:]))


def test_input_modes_look_past_the_base():
    batch = inputs()
    module = build('input').eval()
    expected = module(**batch)
    batch['feature'] = batch['feature'] + 1
    torch.testing.assert_close(module(**batch), expected)
    gated = build('attn_input').eval()
    gated.load_state_dict(module.state_dict())
    torch.testing.assert_close(gated(**batch), expected * batch['attention'])
    with pytest.raises(ValueError, match="'input' needs input_channels"):
        ActionCondition(C, E, mode='input')
