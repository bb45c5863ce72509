# Copyright (c) mmaction_actiondiff contributors. All rights reserved.
"""WeakLocalizer: a base branch trained with video-level labels."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmaction.registry import MODELS, TASK_UTILS
from mmaction.structures import ActionDataSample
from mmengine.model import BaseModel
from mmengine.structures import InstanceData
from torch import Tensor, nn

from .branch import Scores
from .objective import WTALLoss

DataSamples = Sequence[ActionDataSample]


@MODELS.register_module()
class WeakLocalizer(BaseModel):
    """Features -> class activation sequence -> proposals, weakly supervised.

    Baselines are configs of this class; :class:`ActionDiff` adds the
    diffusion branch to it.

    Args:
        num_classes (int): C, without the background.
        base_branch (dict): Config of a branch (``models/wtal``); gets
            ``num_classes`` and, if given, ``stream_channels``.
        loss (dict): Config of a loss (``models/wtal``).
        proposal_generator (dict, optional): Config of a
            ``ProposalGenerator``. Defaults to its defaults.
        stream_channels (Sequence[int], optional): Channels of each stream in
            the feature files.
        video_score_thr (float, optional): Classes of at least this
            video-level score are localised; where there is none, the best
            class is. Defaults to what fits the scores of the branch.
        dump_snippets (bool): Also return every curve behind the proposals
            (``pred_snippets``), for ``tools/replay.py`` and
            ``tools/visualize.py``. Defaults to False.
        data_preprocessor, init_cfg (dict, optional): As in every model of
            MMEngine.

    Raises:
        ValueError: When the loss is another localizer's.
    """

    loss_type: type[nn.Module] = WTALLoss

    def __init__(self,
                 num_classes: int,
                 base_branch: dict,
                 loss: dict,
                 proposal_generator: dict | None = None,
                 stream_channels: Sequence[int] | None = None,
                 video_score_thr: float | None = None,
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
        self.loss_module = MODELS.build(loss)
        if not isinstance(self.loss_module, self.loss_type):
            raise ValueError(
                f'{type(self).__name__} is trained with '
                f'{self.loss_type.__name__}, got '
                f'{type(self.loss_module).__name__}; WeakLocalizer takes the '
                'losses of models/wtal, ActionDiff the same as '
                "loss=dict(type='ActionDiffLoss', base=dict(type='...')), "
                'SupervisedLocalizer SnippetSupervisionLoss')
        self.proposal_generator = TASK_UTILS.build({
            'type': 'ProposalGenerator',
            **(proposal_generator or {})
        })
        self.video_score_thr: float = (
            self.base_branch.video_score_thr
            if video_score_thr is None else video_score_thr)
        if not 0 <= self.video_score_thr <= 1:
            raise ValueError('video_score_thr must be in [0, 1], got '
                             f'{self.video_score_thr}')
        self.dump_snippets = dump_snippets
        self.iteration: int | None = None
        self.progress = 0.5

    def begin_iteration(self, iteration: int, max_iterations: int) -> None:
        """Learn where the training stands, from ``TrainingProgressHook``.

        Without it, ``iteration`` is None and ``progress`` one half.
        """
        self.iteration = iteration
        self.progress = iteration / max_iterations

    def end_iteration(self, log_vars: Mapping[str, Tensor]) -> None:
        """Learn what the step that is over has logged, from the same hook."""

    def forward(self,
                inputs: Tensor,
                data_samples: DataSamples | None = None,
                mode: str = 'tensor') -> Any:
        """Dispatch, the MMEngine way.

        Args:
            inputs (Tensor): (N, D, T), padded at the end.
            data_samples (Sequence[ActionDataSample], optional): One per
                video; ``num_snippets`` of the metainfo says what is padding.
            mode (str): 'tensor' -> :class:`Scores`, one differentiable pass;
                'loss' -> dict of losses; 'predict' -> the data samples with
                predictions.

        Raises:
            ValueError: For another mode, or a mode that needs data samples.
        """
        if mode not in ('tensor', 'loss', 'predict'):
            raise ValueError("mode must be 'tensor', 'loss' or 'predict', "
                             f'got {mode!r}')
        valid = valid_snippets(inputs, data_samples)
        # The one place that makes padding zero, for all that follows.
        inputs = inputs.masked_fill(~valid, 0)
        if mode == 'tensor':
            return self.single_pass(inputs, valid)
        if data_samples is None:
            raise ValueError(f'{mode=} needs data_samples, got None')
        if mode == 'loss':
            return self.loss(inputs, valid,
                             self.stack_labels(inputs, data_samples),
                             data_samples)
        return self.predict(inputs, valid, data_samples)

    def loss(self, inputs: Tensor, valid: Tensor, label: Tensor,
             data_samples: DataSamples) -> dict[str, Tensor]:
        """(N, D, T), (N, 1, T) bool, (N, C) -> dict of finite scalars."""
        output = self.base_branch(inputs, valid)
        return self.loss_module(output, label, valid, self.progress)

    def single_pass(self, inputs: Tensor, valid: Tensor) -> Scores:
        """Every network once, with gradient and without sampling."""
        return self.base_branch.score(self.base_branch(inputs, valid), valid)

    def localize(
        self, inputs: Tensor, valid: Tensor, video_names: Sequence[str]
    ) -> tuple[Scores, Tensor, dict[str, Tensor]]:
        """The networks' part of ``predict``: the scores that make the
        proposals; the classes that get some, (N, C) multi-hot; further curves
        (N, ·, T) by name, to be dumped with them."""
        scores = self.single_pass(inputs, valid)
        return scores, self.choose_classes(scores.video_score), {}

    def choose_classes(self, video_score: Tensor) -> Tensor:
        """The classes that get proposals: (N, C) multi-hot, never empty."""
        threshold = video_score.amax(
            1, keepdim=True).clamp(max=self.video_score_thr)
        return (video_score >= threshold).to(video_score.dtype)

    @torch.no_grad()
    def predict(self, inputs: Tensor, valid: Tensor,
                data_samples: DataSamples) -> DataSamples:
        """(N, D, T) -> data samples with ``pred_instances`` (seconds).

        Each video goes through the networks alone and at its own length:
        products of matrices of another size round otherwise, and the result
        would depend on the batch. The proposals are the only place that knows
        seconds.
        """
        for i, sample in enumerate(data_samples):
            length = int(valid[i].sum())
            own = inputs[i:i + 1, :, :length].clone(
                memory_format=torch.contiguous_format)
            scores, classes, curves = self.localize(
                own, valid[i:i + 1, :, :length],
                [sample.get('video_name', '')])
            curves.update(score=scores.class_score, attention=scores.attention)
            if scores.contrast is not None:
                curves['contrast'] = scores.contrast
            curves = {
                k: v[0].detach().float().cpu()
                for k, v in curves.items()
            }
            contrast = curves.get('contrast')
            video_score = scores.video_score[0].float().cpu()
            chosen = classes[0].nonzero()[:, 0].cpu()
            segments, labels, confidence = self.proposal_generator(
                curves['score'].numpy(),
                curves['attention'][0].numpy(),
                video_score.numpy(),
                chosen.numpy(),
                sample.seconds_per_snippet,
                duration=sample.get('duration'),
                offset=sample.get('snippet_offset', 0.),
                contrast=None if contrast is None else contrast.numpy())
            sample.pred_instances = InstanceData(
                segments=torch.from_numpy(segments),
                labels=torch.from_numpy(labels),
                scores=torch.from_numpy(confidence))
            sample.set_pred_score(video_score)
            if self.dump_snippets:
                sample.set_field(chosen, 'pred_classes', dtype=Tensor)
                sample.pred_snippets = InstanceData(
                    **{
                        name: x[0] if 'attention' in
                        name else x.T.contiguous()
                        for name, x in curves.items()
                    })
        return data_samples

    def stack_labels(self, inputs: Tensor,
                     data_samples: DataSamples) -> Tensor:
        """Video-level labels (N, C) multi-hot, in the inputs' dtype."""
        label = torch.zeros(len(data_samples), self.num_classes)
        for row, sample in zip(label, data_samples):
            row[sample.gt_label.cpu()] = 1
        return label.to(inputs, non_blocking=True)


def valid_snippets(inputs: Tensor, data_samples: DataSamples | None) -> Tensor:
    """Which snippets are not padding: (N, 1, T) bool."""
    num_videos, _, longest = inputs.shape
    if data_samples is None:
        return inputs.new_ones(num_videos, 1, longest, dtype=torch.bool)
    length = torch.tensor(
        [sample.get('num_snippets', longest) for sample in data_samples]).to(
            inputs.device, non_blocking=True)
    positions = torch.arange(longest, device=inputs.device)
    return (positions < length.unsqueeze(1)).unsqueeze(1)
