"""Synthetic hrT2 scans of the inner ears with known labels: a first, small phantom."""

from training.phantom.appearance import Contrast
from training.phantom.generate import make_phantom, write_cohort

__all__ = ["Contrast", "make_phantom", "write_cohort"]
