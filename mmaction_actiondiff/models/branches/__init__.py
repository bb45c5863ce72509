"""Base branches: features -> class activation sequence and attention."""
from .acr import ACRBranch
from .base import BaseBranch, BranchOutput
from .cola import CoLABranch
from .conv import ConvBranch
from .cross_modal import CrossModalBranch

__all__ = [
    'ACRBranch', 'BaseBranch', 'BranchOutput', 'CoLABranch', 'ConvBranch',
    'CrossModalBranch'
]
