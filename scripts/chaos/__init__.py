"""Faults on real processes: ``python -m scripts.chaos`` (crashes, partitions, full disks), ``scripts.chaos.fuzz``."""
