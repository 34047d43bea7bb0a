"""Deterministic simulation of the consensus layer: ``python -m pot_chain.pbft.sim --seeds 1000``.

A seed draws a world (``scenario``): its validators, faults and lies. The world (``world``) runs the real replica and
the real guard on virtual time, network and disk; a monitor (``invariants``) checks after every step what must always
hold, and at the end that all of it came to an end in time.
"""
