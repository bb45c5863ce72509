"""ActionDiff: base branch, top-k mask, diffusion head, fusion.

Y. Zou et al., "Action-to-Action Diffusion Network for Weakly Supervised
Temporal Action Localization", IEEE TMM 27, 2025. Dimension letters:
N videos, D feature channels, C classes, T snippets.
"""
from __future__ import annotations

import math
from contextlib import nullcontext

import torch
from mmaction.registry import MODELS
from mmengine.logging import MessageHub
from mmengine.model import ExponentialMovingAverage
from torch import Tensor

from .branches.base import BranchOutput
from .diffusion_head import DenoisedOutput, video_generators
from .fusion import peak_ratio
from .mask_generator import PseudoMask
from .weak_localizer import DataSamples, WeakLocalizer, valid_snippets


@MODELS.register_module()
class ActionDiff(WeakLocalizer):
    """The localizer; ``loss`` and ``localize`` read like the method's figure.

    Args:
        condition (dict): Config of the ``ActionCondition``.
        diffusion_head (dict): Config of the ``DiffusionHead``, or of the
            ``SelfTrainingHead``, the control without diffusion.
        fusion (dict): Config of the ``Fusion``.
        mask_generator (dict): Config of the ``TopKMaskGenerator``.
        mask_teacher (dict, optional): ``dict(momentum=...)``: the masks come
            from an exponential moving average of the base branch. Defaults
            to None, the base branch itself.
        warmup_iters (int): W. Iterations below W train the base alone; from W
            to 2 W the fusion ramps up. Defaults to 0.
        seed (int): Of the sampling noise, together with the video's name.
            Defaults to 0.
        kwargs: Of :class:`WeakLocalizer`.

    Raises:
        ValueError: When the diffusion loss is for another kind of mask than
            the head denoises.
    """

    def __init__(self,
                 *,
                 condition: dict,
                 diffusion_head: dict,
                 fusion: dict,
                 mask_generator: dict,
                 mask_teacher: dict | None = None,
                 warmup_iters: int = 0,
                 seed: int = 0,
                 **kwargs) -> None:
        super().__init__(mask_generator=mask_generator, **kwargs)
        embed_channels = self.base_branch.embed_channels
        self.condition = MODELS.build(
            dict(
                num_classes=self.num_classes,
                embed_channels=embed_channels,
                input_channels=sum(self.base_branch.stream_channels),
                **condition))
        self.diffusion_head = MODELS.build(
            dict(
                num_classes=self.num_classes,
                condition_channels=self.condition.condition_channels,
                **diffusion_head))
        kind = getattr(self.loss_module, 'diffusion_kind', None)
        activation = self.diffusion_head.x_0_activation
        if kind == 'ce' and activation != 'softmax':
            raise ValueError(
                "loss.diffusion_kind='ce' lets the classes share a snippet: "
                "set diffusion_head.x_0_activation='softmax', got "
                f'{activation!r}')
        self.fusion = MODELS.build(
            dict(
                embed_channels=embed_channels,
                hidden_channels=self.diffusion_head.hidden_channels,
                **fusion))
        self.teacher = mask_teacher and ExponentialMovingAverage(
            self.base_branch, **mask_teacher)
        self.warmup_iters = warmup_iters
        self.seed = seed

    def loss(self, inputs: Tensor,
             data_samples: DataSamples) -> dict[str, Tensor]:
        """(N, D, T) -> dict of finite scalars."""
        valid = valid_snippets(inputs, data_samples)
        label = self.stack_labels(inputs, data_samples)
        branch = self.base_branch(inputs, valid)
        self.update_teacher()
        ramp = self.warmup_ramp()
        if ramp is None:
            losses = self.loss_module(branch, label, valid)
            return dict(losses, loss_diffusion=self.idle_diffusion())

        teacher = self.run_teacher(inputs, valid)
        pseudo = self.mask_generator((teacher or branch).snippet_score(),
                                     label, valid)
        condition = self.diffusion_head.project(
            self.guide(inputs, branch, pseudo, label, valid))
        denoised = self.diffusion_head(
            pseudo.mask, self.condition.hide(condition, pseudo.agnostic,
                                             valid), valid, pseudo.weight)
        with nullcontext() if self.fusion.teaches else torch.no_grad():
            generated = self.diffusion_head.generate(condition, valid)
        fused = self.fuse(branch, generated, label, valid, ramp)
        losses = self.loss_module(branch, label, valid, pseudo, denoised,
                                  generated, fused, teacher, ramp)
        with torch.no_grad():
            losses['peak_ratio_base'] = peak_ratio(branch.snippet_score(),
                                                   label, valid)
            losses['peak_ratio_fused'] = peak_ratio(fused.snippet_score(),
                                                    label, valid)
        return losses

    def localize(
        self,
        inputs: Tensor,
        data_samples: DataSamples | None = None
    ) -> tuple[BranchOutput, Tensor, dict[str, Tensor]]:
        """Base branch -> condition -> sampled latent action space -> fusion.

        The base says which classes occur, the fusion says when.
        """
        valid = valid_snippets(inputs, data_samples)
        branch = self.base_branch(inputs, valid)
        video_score = self.video_score(branch, valid)
        label = self.predict_labels(video_score)
        pseudo = self.mask_generator(branch.snippet_score(), label, valid)
        condition = self.guide(inputs, branch, pseudo, label, valid)
        names = [
            sample.get('video_name', '')
            for sample in data_samples or [{}] * len(inputs)
        ]
        denoised = self.diffusion_head.sample(
            condition, valid, generators=video_generators(names, self.seed))
        fused = self.fuse(branch, denoised, label, valid)
        return fused, video_score, dict(
            base_score=branch.class_score(),
            base_attention=branch.attention,
            mask=pseudo.mask,
            denoised=denoised.prob)

    def guide(self, inputs: Tensor, branch: BranchOutput, pseudo: PseudoMask,
              label: Tensor, valid: Tensor) -> Tensor:
        """The action-related condition of the diffusion, (N, F, T)."""
        return self.condition(
            branch.feature,
            branch.cas,
            branch.attention,
            pseudo.mask,
            label,
            valid,
            inputs=inputs)

    def fuse(self,
             branch: BranchOutput,
             denoised: DenoisedOutput,
             label: Tensor,
             valid: Tensor,
             ramp: float = 1.) -> BranchOutput:
        """The diffusion output weakens the base's over-confident peaks."""
        return self.fusion(branch, denoised, label, valid,
                           self.base_branch.classify, ramp)

    def warmup_ramp(self) -> float | None:
        """None while the base trains alone, then a sigmoid ramp up to 1.

        MMEngine's runner tells the iteration through its message hub, also
        after a resume; without a runner the warm-up counts as over.
        """
        step = MessageHub.get_current_instance().get_info('iter')
        if not self.warmup_iters or step is None:
            return 1.
        if step < self.warmup_iters:
            return None
        progress = min(step / self.warmup_iters - 1, 1)
        return math.exp(-5 * (1 - progress)**2)

    def idle_diffusion(self) -> Tensor:
        """A zero that every waiting parameter takes part in, so that
        distributed training needs no search for unused parameters."""
        modules = (self.condition, self.diffusion_head, self.fusion)
        return sum((p.sum() * 0 for m in modules for p in m.parameters()),
                   torch.zeros(()))

    def update_teacher(self) -> None:
        """Follow the weights after the last training step."""
        if self.teacher and self.training:
            self.teacher.update_parameters(self.base_branch)

    @torch.no_grad()
    def run_teacher(self, inputs: Tensor,
                    valid: Tensor) -> BranchOutput | None:
        """The teacher's view of the batch, where there is a teacher."""
        return self.teacher(inputs, valid) if self.teacher else None

    def train(self, mode: bool = True) -> ActionDiff:
        """Switch the mode; the teacher never trains (no dropout)."""
        super().train(mode)
        if self.teacher:
            self.teacher.eval()
        return self
