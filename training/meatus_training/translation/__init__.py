"""Translation of ceT1 scans to pseudo-hrT2 by contrastive unpaired translation (CUT)."""
