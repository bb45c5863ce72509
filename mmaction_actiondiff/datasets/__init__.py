# Copyright (c) mmaction_actiondiff contributors. All rights reserved.
"""Data sets, their transforms and samplers."""
from __future__ import annotations

from .localization import (LoadLocalizerProposals, LocalizerRecord,
                           ResizeLocalizerFeature)
from .planted import PlantedActions, write_planted_dataset
from .samplers import PairBatchSampler, ResumableTrainLoop, WTALSampler
from .transforms import LoadSnippetFeature, PackWTALInputs, SampleSnippets
from .wtal_dataset import WTALDataset, data_hint

__all__ = [
    'LoadLocalizerProposals', 'LoadSnippetFeature', 'LocalizerRecord',
    'PackWTALInputs', 'PairBatchSampler', 'PlantedActions',
    'ResizeLocalizerFeature', 'ResumableTrainLoop', 'SampleSnippets',
    'WTALDataset', 'WTALSampler', 'data_hint', 'write_planted_dataset'
]
