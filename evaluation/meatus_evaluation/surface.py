"""The place where this was until 0.1; it is in ``meatus_evaluation.scoring.surface``."""

from meatus_evaluation.scoring.surface import bounding_box

__all__ = ["bounding_box"]
