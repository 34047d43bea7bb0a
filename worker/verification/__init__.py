"""How validators look at gradients: cheap hints about which to re-execute, re-execution, and copies."""

from worker.verification.copies import find_copies
from worker.verification.reexecution import DEFAULT_TOLERANCE, Check, reexecute
from worker.verification.screening import suspicious

__all__ = ["DEFAULT_TOLERANCE", "Check", "find_copies", "reexecute", "suspicious"]
