"""`python -m bench.speed [NAME ...] [--json]`."""

import sys

from ..command import room

BENCHES = ("break_even", "latency", "learning", "footprint", "small_host", "throughput", "gateway")
sys.exit(room("bench.speed", BENCHES))
