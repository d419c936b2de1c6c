"""Benchmarks: `make bench`. They print medians and ratios, and check nothing."""
