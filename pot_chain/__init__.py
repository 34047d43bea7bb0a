"""Proof of Training: paid, verified AI training on idle mining GPUs."""

__version__ = "0.1.0"
