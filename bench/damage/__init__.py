"""Inputs for bench.fuzz, and what damages them."""
