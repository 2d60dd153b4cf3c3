"""`python -m bench.paper [NAME ...] [--json]`."""

import sys

from ..command import room

BENCHES = ("replay_trace", "keras_parity", "insight", "adaptivity", "reproduce")
sys.exit(room("bench.paper", BENCHES))
