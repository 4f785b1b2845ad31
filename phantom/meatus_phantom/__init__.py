"""A phantom cohort: ceT1 and hrT2 scans of heads at the inner ears, with exact labels.

The data flow: anatomy -> tissue maps -> signal -> acquisition -> files. Facts and sources are in
``docs/phantom.md``.
"""
