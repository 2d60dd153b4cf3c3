"""Inputs for bench.robustness.fuzz, and what damages them."""
