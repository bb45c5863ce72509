# Copyright (c) mmaction_actiondiff contributors. All rights reserved.
"""Weakly supervised baselines, each whole in its file: network, scoring and
loss. Each of them can also be the base of ActionDiff."""
from .acrnet import ACRBranch, ACRLoss
from .co2net import CO2NetLoss, CrossModalBranch
from .cola import CoLABranch, CoLALoss
from .ddgnet import DDGBranch, DDGLoss
from .delu import DELULoss
from .mil import ConvBranch, MILLoss, PresentClassLoss

__all__ = [
    'ACRBranch', 'ACRLoss', 'CO2NetLoss', 'CoLABranch', 'CoLALoss',
    'ConvBranch', 'CrossModalBranch', 'DDGBranch', 'DDGLoss', 'DELULoss',
    'MILLoss', 'PresentClassLoss'
]
