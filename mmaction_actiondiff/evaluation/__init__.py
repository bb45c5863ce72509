# Copyright (c) mmaction_actiondiff contributors. All rights reserved.
"""Evaluating detections by stated protocols."""
from __future__ import annotations

from .ap import Instances, average_precision, temporal_iou
from .files import evaluate_files, read_detections, read_ground_truth
from .metrics import DetectionMAP, PairedDetectionMAP, ProposalRecall
from .protocols import (PROTOCOLS, Detections, EvaluationResult, GroundTruth,
                        Protocol, evaluate, make_protocol)

__all__ = [
    'DetectionMAP', 'Detections', 'EvaluationResult', 'GroundTruth',
    'Instances', 'PROTOCOLS', 'PairedDetectionMAP', 'ProposalRecall',
    'Protocol', 'average_precision', 'evaluate', 'evaluate_files',
    'make_protocol', 'read_detections', 'read_ground_truth', 'temporal_iou'
]
