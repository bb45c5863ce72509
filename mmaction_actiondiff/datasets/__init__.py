"""Data sets, their transforms and samplers."""
from __future__ import annotations

from .class_names import CLASS_NAMES, data_hint
from .localization import (LoadLocalizerProposals, LocalizerRecord,
                           ResizeLocalizerFeature)
from .planted import PlantedActions, write_planted_dataset
from .samplers import LengthSampler, WTALSampler
from .transforms import LoadSnippetFeature, PackWTALInputs, SampleSnippets
from .wtal_dataset import WTALDataset

__all__ = [
    'CLASS_NAMES', 'LengthSampler', 'LoadLocalizerProposals',
    'LoadSnippetFeature', 'LocalizerRecord', 'PackWTALInputs',
    'PlantedActions', 'ResizeLocalizerFeature', 'SampleSnippets',
    'WTALDataset', 'WTALSampler', 'data_hint', 'write_planted_dataset'
]
