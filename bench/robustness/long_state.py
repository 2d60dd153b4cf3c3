"""Start-up and memory of a run that has sent many images before, with nothing to do.

A real state, grown: its lines again under other names and digests, by the product's own functions.
Once with the files gone, and once with as many as said still in the folder.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from adacompress_ref.running.arrivals import stamp
from adacompress_ref.running.state import StateFolder
from adacompress_ref.storage.arrays import load_arrays

from ..command import PHOTOGRAPHS, parser

LIMITS = {"gone": 3.0, "still there": 5.0}  # seconds
MEGABYTES = 200.0


def run(images: Path, state: Path) -> tuple[float, float, float, str]:
    """Seconds, peak megabytes, seconds of computing, and messages of a run."""
    command = [sys.executable, "-m", "adacompress_ref", "run", "--images", str(images)]
    command += ["--service", "squeezenet", "--state", str(state)]
    started = time.monotonic()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        assert process.stderr
        messages = process.stderr.read().decode()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"the run ended with status {process.returncode}: {messages}")
    computing = usage.ru_utime + usage.ru_stime
    return time.monotonic() - started, usage.ru_maxrss / 1024, computing, messages  # KiB on Linux


def grow(state: Path, images: Path, count: int, there: int) -> None:
    """To so many logged images, of which the last `there` are files that lie in the folder."""
    base = [json.loads(line) for line in (state / "log.jsonl").read_text().splitlines()]
    fields, _ = load_arrays(state / "state.npz")
    folder = StateFolder(state, fields["settings"])
    assert folder.controller
    with open(folder.log_path, "a", encoding="utf-8") as log:
        for number in range(folder.lines, count):
            name = f"{number // 1000:04}/cam1-{number:08}.jpg"
            digest = hashlib.sha256(name.encode()).hexdigest()
            line = base[number % len(base)] | {"image": name, "sha256": digest}
            line["number"] = number + 1
            file = None
            if number >= count - there:
                path = images / name
                path.parent.mkdir(exist_ok=True)
                path.write_bytes(digest.encode())
                file = stamp(path)
            log.write(json.dumps(line) + "\n")
            folder._note(line, *((name, *file) if file else ()))
    folder.save(folder.controller)
    folder.close()


def measure(counts: list[int], there: int) -> list[dict[str, Any]]:
    """For each count, gone and still there."""
    rows = []
    for count in counts:
        for where in LIMITS:
            with tempfile.TemporaryDirectory() as made:
                images, state = Path(made, "photos"), Path(made, "state")
                shutil.copytree(PHOTOGRAPHS, images)
                run(images, state)
                lying = min(there, count) if where == "still there" else 0
                grow(state, images, count, lying)
                seconds, megabytes, computing, messages = min(run(images, state) for _ in range(3))
                size = sum(file.stat().st_size for file in state.iterdir())
                rows.append(
                    {
                        "logged": count,
                        "files": where,
                        "in_folder": lying,
                        "seconds": round(seconds, 2),
                        "computing": round(computing, 2),
                        "megabytes": round(megabytes),
                        "state_megabytes": round(size / 1e6, 1),
                        "sent_again": "0 are left" not in messages,
                    }
                )
                print(json.dumps(rows[-1]), file=sys.stderr)
    return rows


def main(arguments: list[str] | None = None) -> int:
    """Exit status 0: all within the limits; 1: some are not."""
    bench = parser("bench.robustness.long_state", __doc__)
    text = "images logged; default: 10000 100000 1000000"
    usual = [10_000, 100_000, 1_000_000]
    bench.add_argument("--logged", type=int, nargs="+", default=usual, metavar="N", help=text)
    text = "files still there; default: 100000"
    bench.add_argument("--there", type=int, default=100_000, metavar="N", help=text)
    options = bench.parse_args(arguments)
    rows = measure(options.logged, options.there)
    print(json.dumps({"rows": rows}, indent=None if options.json else 1))
    within = (
        row["seconds"] < LIMITS[row["files"]] and row["megabytes"] < MEGABYTES for row in rows
    )
    return 0 if all(within) and not any(row["sent_again"] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
