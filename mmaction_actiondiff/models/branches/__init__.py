"""Base branches: features -> class activation sequence and attention."""
from .base import BaseBranch, BranchOutput
from .cross_modal import CrossModalBranch

__all__ = ['BaseBranch', 'BranchOutput', 'CrossModalBranch']
