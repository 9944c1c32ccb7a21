"""How well a segmentation agrees with the truth: scores and the list of mistakes."""

from cellseg1.evaluation.matching import OverlapTable, count_matches, match_at, match_ious, overlap_table
from cellseg1.evaluation.metrics import DEFAULT_THRESHOLDS, Scores, average_precision, score_table
from cellseg1.evaluation.mistakes import Mistake, find_mistakes
from cellseg1.evaluation.report import ImageScore, Report, evaluate_labels, evaluate_pairs

__all__ = [
    "DEFAULT_THRESHOLDS",
    "ImageScore",
    "Mistake",
    "OverlapTable",
    "Report",
    "Scores",
    "average_precision",
    "count_matches",
    "evaluate_labels",
    "evaluate_pairs",
    "find_mistakes",
    "match_at",
    "match_ious",
    "overlap_table",
    "score_table",
]
