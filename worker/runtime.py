"""How torch runs in a process: threads, and floating point that a validator can reproduce."""

from __future__ import annotations

import torch


def configure_torch(threads: int = 1) -> None:
    """Set torch up for a miner or validator process; call it once, before anything is computed.

    One thread by default: several processes share a machine, and two threads that wait for each other on busy cores
    were measured nine times slower than one. TF32 is off: its rounding (1e-3) would drown what re-execution looks for
    (1e-4).
    """
    torch.set_num_threads(threads)
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = False
