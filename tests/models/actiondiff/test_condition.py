"""The condition: its modes, what it hides, where gradients stop."""
from __future__ import annotations

import pytest
import torch

from mmaction_actiondiff.models import ActionCondition
from mmaction_actiondiff.models.actiondiff.condition import (MODES,
                                                             hidden_snippets)

E, D = 6, 4


def build(mode='attn_input'):
    return ActionCondition(E, D, condition_channels=5, mode=mode).eval()


def batch(num_videos=2, length=12):
    return dict(
        inputs=torch.randn(num_videos, D, length),
        feature=torch.randn(num_videos, E, length),
        attention=torch.rand(num_videos, 1, length),
        union=(torch.rand(num_videos, 1, length) > 0.6).float(),
        valid=torch.ones(num_videos, 1, length, dtype=torch.bool))


@pytest.mark.parametrize('mode', MODES)
def test_padding_is_not_seen(mode):
    module, given = build(mode), batch()
    expected = module(**given)
    assert expected.shape == (2, 5, 12) and expected.abs().sum() > 0
    padded = module(
        **{
            k:
            torch.nn.functional.pad(
                v, (0, 50), value=0 if k in ('union', 'valid') else 7)
            for k, v in given.items()
        })
    torch.testing.assert_close(padded[..., :12], expected)
    assert (padded[..., 12:] == 0).all()


@pytest.mark.parametrize('mode', MODES)
def test_no_gradient_into_the_base(mode):
    module, given = build(mode), batch()
    for name in ('feature', 'attention'):
        given[name].requires_grad_()
    module(**given).square().sum().backward()
    assert given['feature'].grad is None and given['attention'].grad is None
    assert all(p.grad is not None for p in module.parameters())


def test_attention_gates_normalised_inputs():
    plain, gated = build('input'), build('attn_input')
    gated.load_state_dict(plain.state_dict())
    given = batch()
    full = plain(**given)
    torch.testing.assert_close(gated(**given), full * given['attention'])
    # Scale of the features does not matter, the gate's does.
    mean, std = full.mean(1), full.std(1, unbiased=False)
    torch.testing.assert_close(mean, torch.zeros(2, 12), atol=1e-5, rtol=0)
    torch.testing.assert_close(std, torch.ones(2, 12), atol=1e-2, rtol=0)
    # The base's features, which may be wrong, are not looked at.
    given['feature'] = given['feature'] + 1
    torch.testing.assert_close(plain(**given), full)


def test_token_stands_outside_the_mask():
    module, given = build('topk_feat'), batch()
    given['union'] = torch.zeros(2, 1, 12)
    given['union'][..., 3:5] = 1
    condition = module(**given)
    outside = [0, 1, 2, *range(5, 12)]
    torch.testing.assert_close(condition[..., outside],
                               module.token.expand(2, 5, 10))
    torch.testing.assert_close(condition[..., 3:5],
                               module.embed(given['feature'])[..., 3:5])


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
    module, given = build(), batch()
    module.hide_probs = (1., 0., 0.)
    condition, rest = module(**given), (given['union'], given['valid'])
    assert torch.equal(module.hide(condition, *rest), condition)
    assert (module.train().hide(condition, *rest) == 0).all()


def test_errors_name_the_value():
    with pytest.raises(ValueError, match="got 'feat'"):
        build('feat')
