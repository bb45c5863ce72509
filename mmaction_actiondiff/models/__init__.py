"""The method: base branch, mask generator, diffusion head, fusion, losses."""
from .acr_loss import ACRLoss
from .actiondiff import ActionDiff
from .branches import ACRBranch, CoLABranch, ConvBranch, CrossModalBranch
from .cola_loss import CoLALoss
from .condition import ActionCondition
from .conv_denoiser import ConvDenoiser
from .data_preprocessor import WTALDataPreprocessor
from .delu_loss import DELULoss
from .denoiser import TemporalDenoiser
from .diffusion_head import DiffusionHead
from .fusion import Fusion
from .losses import ActionDiffLoss
from .mask_generator import TopKMaskGenerator
from .schedulers import DDIMScheduler
from .self_training_head import SelfTrainingHead
from .supervised_localizer import SupervisedLocalizer, SupervisedLoss
from .weak_localizer import WeakLocalizer

__all__ = [
    'ACRBranch', 'ACRLoss', 'ActionDiff', 'ActionCondition', 'ActionDiffLoss',
    'CoLABranch', 'CoLALoss', 'ConvBranch', 'ConvDenoiser', 'CrossModalBranch',
    'DDIMScheduler', 'DELULoss', 'DiffusionHead', 'Fusion', 'SelfTrainingHead',
    'SupervisedLocalizer', 'SupervisedLoss', 'TemporalDenoiser',
    'TopKMaskGenerator', 'WTALDataPreprocessor', 'WeakLocalizer'
]
