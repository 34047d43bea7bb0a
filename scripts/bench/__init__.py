"""Benchmarks. ``python -m scripts.bench.pbft`` measures the consensus over real sockets."""
