"""Training, its encoding, its exact aggregation and its verification; the miner.

Importing this package loads no torch: only the modules that compute with it do (loading it takes seconds).
"""
