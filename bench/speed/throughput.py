"""Images per second of `label` and `compress`, by workers.

`python -m bench.speed.throughput [--images 60] [--workers 1 2] [--json]`

Each command is run as a user would, start of the processes included, on photographs of 500 x 375
pixels laid together from those in `tests/photos`.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from ..command import parser
from .latency import fill
from .ratios import Row, show

COMMANDS = {
    "label": "label --images {photos} --service squeezenet -o {output}.npz",
    "compress, authors": "compress {photos} -o {output} --preset authors",
    "compress, tuned": "compress {photos} -o {output}",
}


def seconds(arguments: list[str]) -> float:
    """Of one command."""
    started = time.perf_counter()
    command = [sys.executable, "-m", "adacompress_ref", *arguments]
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - started


def measured(options: argparse.Namespace) -> list[Row]:
    """All rows."""
    rows = []
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made) / "photos"
        fill(folder, options.images)
        for name, command in COMMANDS.items():
            rates = {}
            for workers in options.workers:
                output = f"{made}/{name.replace(', ', '-')}-{workers}"
                arguments = command.format(photos=folder, output=output).split()
                spent = seconds([*arguments, "--workers", str(workers), "--quiet"])
                rates[workers] = options.images / spent
                rows.append(Row(f"{name}, {workers} workers", rates[workers], "/s"))
            if {1, 2} <= rates.keys():
                target = ">= 1.7" if name == "label" else None
                rows.append(Row(f"{name}, 2 workers / 1", rates[2] / rates[1], "x", target))
    return rows


def main(arguments: list[str] | None = None) -> int:
    """Exit status 1 where a target is missed."""
    command = parser("bench.speed.throughput", __doc__)
    command.add_argument("--images", type=int, default=60, metavar="N")
    command.add_argument("--workers", type=int, nargs="+", default=(1, 2), metavar="N")
    options = command.parse_args(arguments)
    return show(measured(options), options.json)


if __name__ == "__main__":
    sys.exit(main())
