"""The method: base branch, mask generator, diffusion head, fusion, losses."""
from .actiondiff import ActionDiff
from .branches import CrossModalBranch
from .condition import ActionCondition
from .data_preprocessor import WTALDataPreprocessor
from .denoiser import TemporalDenoiser
from .diffusion_head import DiffusionHead
from .fusion import Fusion
from .losses import ActionDiffLoss
from .mask_generator import TopKMaskGenerator
from .schedulers import DDIMScheduler
from .weak_localizer import WeakLocalizer

__all__ = [
    'ActionDiff', 'ActionCondition', 'ActionDiffLoss', 'CrossModalBranch',
    'DDIMScheduler', 'DiffusionHead', 'Fusion', 'TemporalDenoiser',
    'TopKMaskGenerator', 'WTALDataPreprocessor', 'WeakLocalizer'
]
