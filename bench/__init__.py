"""Benchmarks: `make bench` and `make bench-scale`. They print medians and ratios, and assert nothing."""
