"""The place where these were until 0.1; they are in ``meatus_evaluation.scoring.match``."""

from meatus_evaluation.scoring.match import same_grid, site_of

__all__ = ["same_grid", "site_of"]
