"""`python -m bench.robustness [NAME ...] [--json]`."""

import sys

from ..command import room

sys.exit(room("bench.robustness", ("faults", "crash", "fuzz", "follow", "long_state")))
