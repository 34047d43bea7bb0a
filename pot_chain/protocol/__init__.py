"""The protocol as pure functions: no IO, no clock, no randomness.

Time, random seeds and messages are arguments; effects come back as values. Validators, miners, the simulator,
the auditor's replay and the tests run the same code.
"""
