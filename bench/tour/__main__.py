"""`python -m bench.tour [NAME ...]`."""

import sys

from ..command import room

sys.exit(room("bench.tour", ("for_auditors", "for_integrators", "for_operators"), as_json=False))
