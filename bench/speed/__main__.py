"""`python -m bench.speed [NAME ...] [--json]`."""

import sys

from ..command import room

sys.exit(room("bench.speed", ("latency", "learning", "footprint", "throughput", "gateway")))
