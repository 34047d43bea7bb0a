"""Byzantine quorums for any number of validators, shared with the contract by test vectors.

With n replicas of which f may lie, two quorums of size Q must meet in an honest one (2Q - n > f) and an honest quorum
must exist (Q <= n - f). f = floor((n - 1) / 3) and Q = floor((n + f) / 2) + 1 satisfy both for every n >= 4; 2f + 1
does so only for n = 3f + 1 (Castro and Liskov, OSDI 1999, treat that case).
"""

from __future__ import annotations

MIN_VALIDATORS = 4
"""Below four validators f is 0: one liar would decide."""


def max_faulty(n: int) -> int:
    """Number of Byzantine validators tolerated among ``n``.

    >>> [max_faulty(n) for n in (4, 6, 7, 100)]
    [1, 1, 2, 33]
    """
    if n < 1:
        raise ValueError(f"a validator set has at least one member, got n={n}")
    return (n - 1) // 3


def quorum(n: int) -> int:
    """Votes that make a certificate among ``n`` validators.

    >>> [quorum(n) for n in (4, 5, 6, 7, 10, 100)]
    [3, 4, 4, 5, 7, 67]
    """
    return (n + max_faulty(n)) // 2 + 1


def weak_quorum(n: int) -> int:
    """Votes of which at least one is honest: f + 1."""
    return max_faulty(n) + 1
