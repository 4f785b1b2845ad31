"""One thread of torch for each of the suite's workers: more would wait for one another."""

import torch

torch.set_num_threads(1)
