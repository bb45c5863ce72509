# Copyright (c) mmaction_actiondiff contributors. All rights reserved.
"""Localizers: ``actiondiff/`` is the method, ``wtal/`` the baselines.

Dimension letters of all files below: N videos, D feature channels,
E embedding channels, C classes, K = C + 1 with the background last,
T snippets. ``valid`` (N, 1, T) bool marks what is not padding.
"""
from .actiondiff import (ActionCondition, ActionDiff, ActionDiffDDIM,
                         ActionDiffFusion, ActionDiffLoss, ConvDenoiser,
                         DiffusionHead, SelfTrainingHead, TopKMaskGenerator)
from .branch import BaseBranch, BranchOutput, Scores
from .data_preprocessor import WTALDataPreprocessor
from .localizer import WeakLocalizer
from .supervised import SnippetSupervisionLoss, SupervisedLocalizer
from .wtal.acrnet import ACRBranch, ACRLoss
from .wtal.co2net import CO2NetLoss, CrossModalBranch
from .wtal.cola import CoLABranch, CoLALoss
from .wtal.ddgnet import DDGBranch, DDGLoss
from .wtal.delu import DELULoss
from .wtal.mil import ConvBranch, MILLoss, PresentClassLoss

__all__ = [
    'ACRBranch', 'ACRLoss', 'ActionCondition', 'ActionDiff', 'ActionDiffDDIM',
    'ActionDiffFusion', 'ActionDiffLoss', 'BaseBranch', 'BranchOutput',
    'CO2NetLoss', 'CoLABranch', 'CoLALoss', 'ConvBranch', 'ConvDenoiser',
    'CrossModalBranch', 'DDGBranch', 'DDGLoss', 'DELULoss', 'DiffusionHead',
    'MILLoss', 'PresentClassLoss', 'Scores', 'SelfTrainingHead',
    'SnippetSupervisionLoss', 'SupervisedLocalizer', 'TopKMaskGenerator',
    'WTALDataPreprocessor', 'WeakLocalizer'
]
