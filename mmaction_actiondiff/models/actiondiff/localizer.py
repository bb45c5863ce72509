# Copyright (c) mmaction_actiondiff contributors. All rights reserved.
"""ActionDiff: base branch, top-k mask, diffusion head, fusion.

Y. Zou et al., "Action-to-Action Diffusion Network for Weakly Supervised
Temporal Action Localization", IEEE TMM 27, 2025.
"""
from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from mmaction.registry import MODELS
from mmengine import dist
from torch import Tensor

from ..branch import BranchOutput, Scores
from ..localizer import DataSamples, WeakLocalizer
from .diffusion_head import video_generators
from .fusion import peak_ratio
from .loss import ActionDiffLoss, branch_skill
from .mask_generator import PseudoMask

# The branch takes its full part from this skill on, and none from 0 down; data
# sets of docs/benchmark have 0.3 to 0.9, masks at random places less than 0.
FULL_SKILL = 0.1
SKILL_MOMENTUM = 0.02


@MODELS.register_module()
class ActionDiff(WeakLocalizer):
    """The localizer; ``loss`` and ``localize`` read like the method's figure.

    How much the diffusion branch takes part follows from how well it knows
    the masks of the training videos (:func:`branch_skill`, running average
    over 50 iterations, stored in the checkpoint as ``skill``): where it knows
    nothing, the base is left alone.

    Each part that is not given is the one of ``configs/_base_/models/
    actiondiff.py``, with its defaults: the preset for every data set.

    Args:
        base_branch (dict, optional): Defaults to ``ConvBranch``.
        loss (dict, optional): Defaults to ``ActionDiffLoss``.
        mask_generator (dict, optional): Defaults to ``TopKMaskGenerator``.
        condition (dict, optional): Defaults to ``ActionCondition``.
        diffusion_head (dict, optional): Defaults to ``DiffusionHead``;
            ``SelfTrainingHead`` is the control without diffusion.
        fusion (dict, optional): Defaults to ``ActionDiffFusion``.
        warmup (float): Share of the training in which the base trains alone;
            in as much again the fusion ramps up. Defaults to 0.15.
        seed (int): Of the sampling noise, together with the video's name.
            Defaults to 0.
        kwargs: Of :class:`WeakLocalizer`.
    """

    loss_type = ActionDiffLoss

    def __init__(self,
                 num_classes: int,
                 *,
                 base_branch: dict | None = None,
                 loss: dict | None = None,
                 mask_generator: dict | None = None,
                 condition: dict | None = None,
                 diffusion_head: dict | None = None,
                 fusion: dict | None = None,
                 warmup: float = 0.15,
                 seed: int = 0,
                 **kwargs) -> None:

        def part(kind: str, cfg: dict | None, **given) -> dict:
            return {'type': kind, **given, **(cfg or {})}

        super().__init__(
            num_classes,
            base_branch=part('ConvBranch', base_branch),
            loss=part('ActionDiffLoss', loss),
            **kwargs)
        self.mask_generator = MODELS.build(
            part('TopKMaskGenerator', mask_generator))
        self.condition = MODELS.build(
            part(
                'ActionCondition',
                condition,
                embed_channels=self.base_branch.embed_channels,
                input_channels=sum(self.base_branch.stream_channels)))
        self.diffusion_head = MODELS.build(
            part(
                'DiffusionHead',
                diffusion_head,
                num_classes=num_classes,
                condition_channels=self.condition.condition_channels))
        self.fusion = MODELS.build(part('ActionDiffFusion', fusion))
        if not 0 <= warmup <= 0.5:
            raise ValueError(f'warmup must lie in [0, 0.5], got {warmup}')
        self.warmup = warmup
        self.seed = seed
        self.register_buffer('skill', torch.ones(()))

    def loss(self, inputs: Tensor, valid: Tensor, label: Tensor,
             data_samples: DataSamples) -> dict[str, Tensor]:
        """(N, D, T), (N, 1, T) bool, (N, C) -> dict of finite scalars."""
        base = self.base_branch(inputs, valid)
        ramp = self.warmup_ramp()
        if ramp is None:
            losses = self.loss_module.base(base, label, valid, self.progress)
            return dict(losses, loss_diffusion=self.idle_diffusion())

        whole = self.without_dropout(inputs, valid)
        score = self.base_branch.score(whole, valid).snippet_score
        pseudo = self.mask_generator(score, label, valid)
        condition = self.guide(inputs, whole, pseudo, valid)
        denoised = self.diffusion_head(
            pseudo, self.condition.hide(condition, pseudo.agnostic, valid),
            valid)
        generated = self.diffusion_head.generate(condition, valid)
        part = ramp * self.trust
        weakened = self.fusion.weaken(base, generated, pseudo, valid, part)
        completed = self.fusion.complete(whole, generated, valid)
        losses = self.loss_module(
            base,
            label,
            valid,
            progress=self.progress,
            pseudo=pseudo,
            denoised=denoised,
            generated=generated,
            weakened=weakened,
            completed=completed,
            part=part)
        if 'loss_diffusion' not in losses:
            losses['loss_diffusion'] = self.idle_diffusion()
        losses['branch_skill'] = branch_skill(generated.logits, pseudo, label,
                                              valid)
        with torch.no_grad():
            for name, output in (('base', base), ('fused', weakened)):
                score = self.base_branch.score(output, valid).snippet_score
                losses[f'peak_ratio_{name}'] = peak_ratio(score, label, valid)
        return losses

    def localize(
        self, inputs: Tensor, valid: Tensor, video_names: Sequence[str]
    ) -> tuple[Scores, Tensor, dict[str, Tensor]]:
        """Base branch -> condition -> sampled latent action space -> fusion.

        The base says which classes occur, the fusion says when.
        """
        output = self.base_branch(inputs, valid)
        base = self.base_branch.score(output, valid)
        classes = self.choose_classes(base.video_score)
        pseudo = self.mask_generator(base.snippet_score, classes, valid)
        condition = self.guide(inputs, output, pseudo, valid)
        denoised = self.diffusion_head.sample(
            condition, valid, video_generators(video_names, self.seed))
        fused = self.fusion(base, denoised, self.trust)
        return fused, classes, dict(
            base_score=base.class_score,
            base_attention=base.attention,
            mask=pseudo.mask,
            denoised=denoised.prob)

    def single_pass(self,
                    inputs: Tensor,
                    valid: Tensor,
                    noise: Tensor | None = None) -> Scores:
        """Every network once, with gradient: one step of the sampler.

        Args:
            inputs (Tensor): (N, D, T).
            valid (Tensor): (N, 1, T) bool.
            noise (Tensor, optional): Where the sampler starts, (N, C, T)
                standard normal. Defaults to its mean, zeros.
        """
        output = self.base_branch(inputs, valid)
        base = self.base_branch.score(output, valid)
        classes = self.choose_classes(base.video_score)
        pseudo = self.mask_generator(base.snippet_score, classes, valid)
        if noise is None:
            noise = torch.zeros_like(base.class_score)
        denoised = self.diffusion_head.generate(
            self.guide(inputs, output, pseudo, valid), valid, noise)
        return self.fusion(base, denoised, self.trust)

    @property
    def trust(self) -> Tensor:
        """The part of its weight that the branch gets, in [0, 1]."""
        return (self.skill / FULL_SKILL).clamp(0, 1)

    def end_iteration(self, log_vars: Mapping[str, Tensor]) -> None:
        """Follow the skill of the branch, over all ranks."""
        if 'branch_skill' in log_vars:
            skill = log_vars['branch_skill'].detach().clone()
            dist.all_reduce(skill, 'mean')
            self.skill.lerp_(skill, SKILL_MOMENTUM)

    @torch.no_grad()
    def without_dropout(self, inputs: Tensor, valid: Tensor) -> BranchOutput:
        """What the branch is taught by: the base's output as in a test.

        Dropouts spoil masks: of CO2-Net's, half of the attention is
        0.5 in every step of training.
        """
        training = self.base_branch.training
        self.base_branch.eval()
        output = self.base_branch(inputs, valid)
        self.base_branch.train(training)
        return output

    def guide(self, inputs: Tensor, base: BranchOutput, pseudo: PseudoMask,
              valid: Tensor) -> Tensor:
        """The action-related condition of the diffusion, (N, F, T)."""
        return self.condition(inputs, base.feature, base.attention,
                              pseudo.agnostic, valid)

    def warmup_ramp(self) -> float | None:
        """None while the base trains alone, then a sigmoid ramp up to 1.

        Without a training loop the warm-up counts as over.
        """
        if not self.warmup or self.iteration is None:
            return 1.
        if self.progress < self.warmup:
            return None
        over = min(self.progress / self.warmup - 1, 1)
        return math.exp(-5 * (1 - over)**2)

    def idle_diffusion(self) -> Tensor:
        """A zero that every waiting parameter takes part in, so that
        distributed training needs no search for unused parameters."""
        modules = (self.condition, self.diffusion_head)
        return sum((p.sum() * 0 for m in modules for p in m.parameters()),
                   torch.zeros(()))
