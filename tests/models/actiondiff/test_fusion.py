"""The fusion: what training sees, what a test is made of."""
from __future__ import annotations

import pytest
import torch

from mmaction_actiondiff.models import (ActionDiffFusion, BranchOutput, Scores,
                                        TopKMaskGenerator)
from mmaction_actiondiff.models.actiondiff.diffusion_head import DenoisedOutput
from mmaction_actiondiff.models.actiondiff.fusion import peak_ratio
from mmaction_actiondiff.models.actiondiff.mask_generator import PseudoMask

VALID = torch.ones(2, 1, 8, dtype=torch.bool)
LABEL = torch.tensor([[1., 0., 0.], [0., 1., 1.]])
NOTHING = PseudoMask(*[torch.zeros(2, 3, 8)] * 3)


def base():
    torch.manual_seed(0)
    return BranchOutput(
        feature=torch.randn(2, 5, 8),
        cas=torch.randn(2, 4, 8),
        attention=torch.rand(2, 1, 8))


def denoise(prob=None):
    torch.manual_seed(1)
    if prob is None:
        prob = torch.randn(2, 4, 8).softmax(1)[:, :-1]
    return DenoisedOutput(prob, prob, prob)


def test_erasing_by_hand():
    cas = torch.tensor([[[3., 0., 0.], [5., 1., 9.]]])  # mean_T of class 0: 1
    output = BranchOutput(cas, cas, torch.ones(1, 1, 3))
    prob = torch.tensor([[[.5, 1., 1.]]])
    fused = ActionDiffFusion(weight=.8).weaken(
        output, denoise(prob), NOTHING, VALID[:1, :, :3], ramp=.5)
    # 3 - .8 * .5 * .5 * (3 - 1); below the mean, and the background: nothing
    torch.testing.assert_close(fused.cas,
                               torch.tensor([[[2.6, 0., 0.], [5., 1., 9.]]]))
    assert torch.equal(fused.attention, output.attention)


def test_erasing_lowers_peaks_and_passes_no_gradient_to_the_denoiser():
    prob, output = denoise().prob.requires_grad_(), base()
    fused = ActionDiffFusion(weight=.8).weaken(output, denoise(prob), NOTHING,
                                               VALID)
    assert not fused.cas.requires_grad
    assert (fused.cas <= output.cas).all() and (fused.cas < output.cas).any()
    before = peak_ratio(output.cas[:, :3].exp(), LABEL, VALID)
    assert peak_ratio(fused.cas[:, :3].exp(), LABEL, VALID) <= before


@pytest.mark.parametrize('own_attention', [True, False])
def test_certain_background_does_not_rise(own_attention):
    output = base()
    output.cas.requires_grad_()
    if own_attention:
        output = output._replace(stream_attentions=(output.attention, ) * 2)
    mask = TopKMaskGenerator()(output.cas[:, :3].detach().exp(), LABEL, VALID)
    assert mask.background.any() and not mask.background[LABEL <= 0].any()
    prob = torch.zeros(2, 3, 8)  # the mean over time passes no gradient
    fused = ActionDiffFusion().weaken(output, denoise(prob), mask, VALID)
    fused.cas.sum().backward()
    untaught = output.cas.grad == 0
    assert torch.equal(untaught[:, :3], mask.background & own_attention)
    assert not untaught[:, 3].any()


def test_completing_by_hand():
    # softmax (3/4, background 1/4) of the base, (1/3, 2/3) of the branch
    cas = torch.tensor([[[3.], [1.]]]).log().requires_grad_()
    logits = torch.tensor([[[.5]]]).log().requires_grad_()
    output = BranchOutput(cas, cas, torch.ones(1, 1, 1))
    denoised = DenoisedOutput(logits, logits.sigmoid(), logits)
    both = ActionDiffFusion(weight=.25).complete(output, denoised,
                                                 VALID[:1, :, :1])
    share = .75 * 3 / 4 + .25 / 3
    torch.testing.assert_close(both.cas.exp(),
                               torch.tensor([[[share], [1 - share]]]))
    torch.testing.assert_close(both.attention, torch.tensor([[[share]]]))
    both.cas.sum().backward()
    assert cas.grad is None and logits.grad != 0


def test_padding_stays_zero():
    output = base()
    valid = torch.arange(8).expand(2, 1, 8) < 5
    output = output._replace(
        cas=output.cas * valid, attention=output.attention * valid)
    output = output._replace(stream_attentions=(output.attention, ) * 2)
    mask = TopKMaskGenerator()(output.cas[:, :3].exp(), LABEL, valid)
    found = DenoisedOutput(*[x * valid for x in denoise()])
    fused = ActionDiffFusion().weaken(output, found, mask, valid)
    assert not fused.cas[..., 5:].any()
    short = ActionDiffFusion().weaken(
        output._replace(
            cas=output.cas[..., :5], attention=output.attention[..., :5]),
        DenoisedOutput(*[x[..., :5] for x in found]),
        PseudoMask(*[x[..., :5] for x in mask]), valid[..., :5])
    torch.testing.assert_close(fused.cas[..., :5], short.cas)


@pytest.mark.parametrize('weight', [0., .3, 1.])
def test_a_test_averages_the_scores(weight):
    score, video = torch.rand(2, 3, 8), torch.rand(2, 3)
    given = Scores(score, base().attention, video, torch.rand(2, 3, 8))
    fused = ActionDiffFusion(weight=weight)(given, denoise())
    torch.testing.assert_close(fused.class_score,
                               (1 - weight) * score + weight * denoise().prob)
    assert torch.equal(fused.video_score, video)
    assert torch.equal(fused.attention, given.attention)
    assert fused.contrast is None  # that of the base alone says too little


def test_a_smooth_answer_lowers_the_peak_ratio():
    peaky = torch.full((1, 1, 20), .01)
    peaky[..., 9] = .9  # one discriminative snippet
    smooth = torch.full((1, 1, 20), .01)
    smooth[..., 5:14] = .8  # inside a whole action
    valid, label = torch.ones(1, 1, 20) > 0, torch.ones(1, 1)
    given = Scores(peaky, torch.ones(1, 1, 20), label)
    fused = ActionDiffFusion()(given, denoise(smooth))
    before = peak_ratio(given.snippet_score, label, valid)
    assert peak_ratio(fused.snippet_score, label, valid) < before
    score = fused.snippet_score[0, 0]  # the ambiguous part emerges
    assert score[5:14].min() > 2 * score[:5].max()


def test_peak_ratio_by_hand():
    score = torch.tensor([[[0., 1., 2., 99.], [5., 5., 5., 5.]]])
    valid = torch.tensor([[[True, True, True, False]]])
    assert peak_ratio(score, torch.tensor([[1., 0.]]), valid) == 2
    assert peak_ratio(score, torch.tensor([[1., 1.]]), valid) == 1.5
    assert peak_ratio(score, torch.zeros(1, 2), valid) == 0


@pytest.mark.parametrize('weight', [-.1, 1.5])
def test_refused(weight):
    with pytest.raises(ValueError, match=f'got {weight}'):
        ActionDiffFusion(weight)
