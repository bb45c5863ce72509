"""WeakLocalizer: a base branch trained with video-level labels.

Dimension letters: N videos, D feature channels, C classes, K = C + 1 with
the background last, T snippets, P proposals.
"""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from mmaction.registry import MODELS, TASK_UTILS
from mmaction.structures import ActionDataSample
from mmengine.model import BaseModel
from mmengine.structures import InstanceData
from torch import Tensor

from .branches.base import BranchOutput

DataSamples = Sequence[ActionDataSample]


@MODELS.register_module()
class WeakLocalizer(BaseModel):
    """Features -> class activation sequence -> proposals, weakly supervised.

    Baselines are configs of this class; :class:`ActionDiff` adds the
    diffusion branch to it.

    Args:
        num_classes (int): C, without the background.
        base_branch (dict): Config of a branch (``models/branches``); gets
            ``num_classes`` and, if given, ``stream_channels``.
        loss (dict): Config of the objective, e.g. ``ActionDiffLoss``.
        proposal_generator (dict): Config of a ``ProposalGenerator``.
        stream_channels (Sequence[int], optional): Channels of each stream in
            the feature files.
        mask_generator (dict, optional): Config of a ``TopKMaskGenerator``,
            for losses that need pseudo-labels.
        video_ratio (float): Video scores pool the best ``T / video_ratio``
            snippets. Defaults to 10 (CO2-Net).
        dump_snippets (bool): Also return every curve behind the proposals
            (``pred_snippets``), for ``tools/replay.py`` and
            ``tools/visualize.py``. Defaults to False.
        data_preprocessor (dict, optional): Defaults to
            ``WTALDataPreprocessor``.
        init_cfg (dict, optional): See MMEngine.
    """

    def __init__(self,
                 num_classes: int,
                 base_branch: dict,
                 loss: dict,
                 proposal_generator: dict,
                 stream_channels: Sequence[int] | None = None,
                 mask_generator: dict | None = None,
                 video_ratio: float = 10,
                 dump_snippets: bool = False,
                 data_preprocessor: dict | None = None,
                 init_cfg: dict | None = None) -> None:
        # Built here: BaseModel would look in MMEngine's root registry.
        super().__init__(
            MODELS.build(
                data_preprocessor or dict(type='WTALDataPreprocessor')),
            init_cfg)
        self.num_classes = num_classes
        branch = dict(num_classes=num_classes, **base_branch)
        if stream_channels is not None:
            branch['stream_channels'] = stream_channels
        self.base_branch = MODELS.build(branch)
        self.mask_generator: Any = (
            MODELS.build(mask_generator) if mask_generator else None)
        self.loss_module = MODELS.build(loss)
        self.proposal_generator = TASK_UTILS.build(proposal_generator)
        self.video_ratio = video_ratio
        self.dump_snippets = dump_snippets

    def forward(self,
                inputs: Tensor,
                data_samples: DataSamples | None = None,
                mode: str = 'tensor') -> Any:
        """Dispatch, the MMEngine way.

        Args:
            inputs (Tensor): (N, D, T), zero-padded at the end.
            data_samples (Sequence[ActionDataSample], optional): One per
                video; ``num_snippets`` of the metainfo says what is padding.
            mode (str): 'tensor' -> :class:`BranchOutput`, 'loss' -> dict of
                losses, 'predict' -> the data samples with predictions.

        Raises:
            ValueError: For another mode, or a mode that needs data samples.
        """
        if mode == 'tensor':
            return self.localize(inputs, data_samples)[0]
        if mode not in ('loss', 'predict'):
            raise ValueError("mode must be 'tensor', 'loss' or 'predict', "
                             f'got {mode!r}')
        if data_samples is None:
            raise ValueError(f"mode={mode!r} needs data_samples, got None")
        return getattr(self, mode)(inputs, data_samples)

    def loss(self, inputs: Tensor,
             data_samples: DataSamples) -> dict[str, Tensor]:
        """(N, D, T) -> dict of finite scalars."""
        valid = valid_snippets(inputs, data_samples)
        label = self.stack_labels(inputs, data_samples)
        branch = self.base_branch(inputs, valid)
        pseudo = self.mask_generator and self.mask_generator(
            branch.snippet_score(), label, valid)
        return self.loss_module(branch, label, valid, pseudo)

    @torch.no_grad()
    def predict(self, inputs: Tensor,
                data_samples: DataSamples) -> DataSamples:
        """(N, D, T) -> data samples with ``pred_instances`` (seconds)."""
        fused, video_score, curves = self.localize(inputs, data_samples)
        return self.add_predictions(inputs, data_samples, fused, video_score,
                                    curves)

    def localize(
        self,
        inputs: Tensor,
        data_samples: DataSamples | None = None
    ) -> tuple[BranchOutput, Tensor, dict[str, Tensor]]:
        """The network's part of ``predict``.

        Returns:
            tuple: The output that makes the proposals, the video-level class
            probabilities (N, C), and further curves (N, ·, T) by name, to be
            dumped with it.
        """
        valid = valid_snippets(inputs, data_samples)
        branch = self.base_branch(inputs, valid)
        return branch, self.video_score(branch, valid), {}

    def video_score(self, branch: BranchOutput, valid: Tensor) -> Tensor:
        """Video-level class probabilities (N, C) in [0, 1]."""
        return branch.video_score(valid, self.video_ratio)

    def predict_labels(self, video_score: Tensor) -> Tensor:
        """The classes that get proposals: (N, C) multi-hot, never empty."""
        threshold = video_score.amax(
            1, keepdim=True).clamp(max=self.proposal_generator.video_score_thr)
        return (video_score >= threshold).to(video_score.dtype)

    def stack_labels(self, inputs: Tensor,
                     data_samples: DataSamples) -> Tensor:
        """Video-level labels (N, C) multi-hot, in the inputs' dtype."""
        label = torch.zeros(len(data_samples), self.num_classes)
        for row, sample in zip(label, data_samples):
            row[sample.gt_label.cpu()] = 1
        return label.to(inputs)

    def add_predictions(self, inputs: Tensor, data_samples: DataSamples,
                        fused: BranchOutput, video_score: Tensor,
                        curves: dict[str, Tensor]) -> DataSamples:
        """Turn scores into proposals, the only place that knows seconds."""
        valid = valid_snippets(inputs, data_samples)
        video_score = video_score.float().cpu()
        # The attention enters the proposals by itself: no gate here.
        curves = dict(
            score=fused.class_score(), attention=fused.attention, **curves)
        curves = {k: v.detach().float().cpu() for k, v in curves.items()}
        for i, sample in enumerate(data_samples):
            length = int(valid[i].sum())
            own = {name: x[i, :, :length] for name, x in curves.items()}
            segments, labels, scores = self.proposal_generator(
                own['score'].numpy(), own['attention'][0].numpy(),
                video_score[i].numpy(), sample.seconds_per_snippet,
                sample.get('duration'))
            sample.pred_instances = InstanceData(
                segments=torch.from_numpy(segments),
                labels=torch.from_numpy(labels),
                scores=torch.from_numpy(scores))
            sample.set_pred_score(video_score[i])
            if self.dump_snippets:
                sample.pred_snippets = InstanceData(
                    **{
                        name: x[0] if 'attention' in
                        name else x.T.contiguous()
                        for name, x in own.items()
                    })
        return data_samples


def valid_snippets(inputs: Tensor, data_samples: DataSamples | None) -> Tensor:
    """Which snippets are not padding: (N, 1, T) bool."""
    num_videos, _, longest = inputs.shape
    if data_samples is None:
        return inputs.new_ones(num_videos, 1, longest, dtype=torch.bool)
    length = torch.tensor(
        [sample.get('num_snippets', longest) for sample in data_samples],
        device=inputs.device)
    positions = torch.arange(longest, device=inputs.device)
    return (positions < length.unsqueeze(1)).unsqueeze(1)
