# Copyright (c) mmaction_actiondiff contributors. All rights reserved.
"""ActionDiff, the whole method: one file for each box of its figure."""
from .condition import ActionCondition
from .ddim import ActionDiffDDIM
from .denoiser import ConvDenoiser
from .diffusion_head import DiffusionHead, SelfTrainingHead
from .fusion import ActionDiffFusion
from .localizer import ActionDiff
from .loss import ActionDiffLoss
from .mask_generator import TopKMaskGenerator

__all__ = [
    'ActionCondition', 'ActionDiff', 'ActionDiffDDIM', 'ActionDiffFusion',
    'ActionDiffLoss', 'ConvDenoiser', 'DiffusionHead', 'SelfTrainingHead',
    'TopKMaskGenerator'
]
