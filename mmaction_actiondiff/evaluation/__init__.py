"""Judging detections by stated protocols."""
from .class_agnostic import PairedDetectionMAP, ProposalRecall
from .ground_truth import GroundTruth, read_detections, read_ground_truth
from .metrics import AverageRecall, DetectionMAP, PseudoMaskQuality
from .precision import Instances, average_precision, temporal_iou
from .protocols import (PROTOCOLS, Judgement, Protocol, VideoDetections,
                        VideoTruth, judge, make_protocol)
from .recall import RecallCurve, average_recall

__all__ = [
    'AverageRecall', 'DetectionMAP', 'GroundTruth', 'Instances', 'Judgement',
    'PROTOCOLS', 'PairedDetectionMAP', 'ProposalRecall', 'Protocol',
    'PseudoMaskQuality', 'RecallCurve', 'VideoDetections', 'VideoTruth',
    'average_precision', 'average_recall', 'judge', 'make_protocol',
    'read_detections', 'read_ground_truth', 'temporal_iou'
]
