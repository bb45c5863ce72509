"""The method: base branch, mask generator, diffusion head, fusion, losses."""
from .branches import CrossModalBranch
from .fusion import Fusion
from .losses import ActionDiffLoss
from .mask_generator import TopKMaskGenerator

__all__ = ['CrossModalBranch', 'Fusion', 'ActionDiffLoss', 'TopKMaskGenerator']
