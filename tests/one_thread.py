"""One thread of torch for each of the suite's workers: more would wait for one another.

Processes that a test starts get one too: sums of two threads round otherwise than those of one.
"""

import os

import torch

os.environ["OMP_NUM_THREADS"] = "1"
torch.set_num_threads(1)
