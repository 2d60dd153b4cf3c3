"""A run as an operator has it: faults, Ctrl-C, a restart, a damaged file, the report.

`python -m bench.tour.for_operators` types each command that it shows, in a folder that is gone in
the end: 40 random crops of tests/photos go to `adacompress serve`, which lets a fifth of all
requests fail. Then it counts: images in the log, uploads in the log, and what the service says
that it answered. A fault may cut off an answer that the service has given, and counted; that
upload is sent again.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np

from adacompress_ref.running import runlog
from adacompress_ref.services.jsonlines import read_lines

from ..command import PHOTOGRAPHS, parser
from ..robustness.crash import lines, same
from ..robustness.faults import crops

ROOT = Path(__file__).resolve().parents[2]
IMAGES, STOP_AFTER = 40, 12
SERVE = "serve --port 0 --error-rate 0.2 --latency 0.02"
STARTED: list[subprocess.Popen[str]] = []
RUN = "run --images photos --service baidu --state state --timeout 1 --quiet"


def start(command: str, folder: Path, variables: dict[str, str]) -> subprocess.Popen[str]:
    """Type a command of adacompress."""
    print(f"\n$ adacompress {command}", flush=True)
    paths = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    process = subprocess.Popen(
        [sys.executable, "-m", "adacompress_ref", *shlex.split(command.rstrip("&"))],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": paths} | variables,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    STARTED.append(process)
    return process


def end(process: subprocess.Popen[str]) -> str:
    """Show what it printed, without most images, and how it ended."""
    printed = process.communicate()[0]
    said = printed.splitlines()
    print("\n".join(said if len(said) < 12 else [*said[:4], "...", *said[-6:]]))
    print(f"(exit status {process.returncode})")
    return printed


def interrupt(process: subprocess.Popen[str]) -> str:
    """Ctrl-C."""
    print(f"$ kill -INT {process.pid}")
    process.send_signal(signal.SIGINT)
    return end(process)


def tour(folder: Path) -> bool:
    """The commands, and whether all is accounted for."""
    state = folder / "state"
    (folder / "photos").mkdir()
    for number, photo in enumerate(crops(PHOTOGRAPHS, IMAGES, np.random.default_rng(0))):
        (folder / "photos" / f"{number:02}.jpg").write_bytes(photo.file)

    server = start(f"{SERVE} &", folder, {})
    try:
        assert server.stdout
        exported = next((line for line in server.stdout if "BAIDU" in line), "")
        if not exported:
            raise SystemExit("the service did not start")
        print(f"$ {exported.strip()}")
        variables = dict(each.split("=", 1) for each in shlex.split(exported)[1:])

        first = start(f"{RUN} &", folder, variables)
        while lines(state) < STOP_AFTER and first.poll() is None:
            time.sleep(0.005)
        interrupt(first)
        stopped = lines(state)
        printed = end(start(RUN, folder, variables))
    finally:
        counted = interrupt(server)

    shutil.copy(state / "state.npz", folder / "whole.npz")
    log = (state / "log.jsonl").read_bytes()
    print("\n$ truncate -s 1000 state/state.npz")
    os.truncate(state / "state.npz", 1000)
    mended = end(start(RUN, folder, variables))
    end(start("report state -o page.html", folder, {}))
    return account(state, stopped, printed, counted, mended, log)


def account(state: Path, stopped: int, printed: str, counted: str, mended: str, log: bytes) -> bool:
    """Log, totals as printed, the service's own count: do they agree?"""
    logged = read_lines(state / "log.jsonl", runlog.check)
    times = Counter(line["image"] for line in logged if line["error"] is None)
    lost, twice = IMAGES - len(times), sum(times.values()) - len(times)
    print(
        f"\n{stopped} images before Ctrl-C, {len(logged)} in all; {lost} lost, {twice} sent twice"
    )
    heard = sum(1 + (line["compressed_labels"] is not None) for line in logged)
    asked, answered = map(int, re.findall(r"(\d+) requests, (\d+) answered", counted)[0])
    print(f"{heard} answers in the log; the service had {asked} requests and answered {answered}:")
    print(f"{answered - heard} answers were cut off by a fault, and those uploads sent again")
    states = Counter(line["state"] for line in logged)
    shown = ", ".join(f"{count} {name}" for name, count in sorted(states.items()))
    sent, reference = (sum(line[n] for line in logged) for n in ("bytes_sent", "reference_bytes"))
    totals = f"{IMAGES} images, 0 failed; {shown}\n", f"included, {sent / reference:.3f} of"
    right = all(each in text for each in totals for text in (printed, mended))
    print(f"totals printed as the log has them: {right}")
    whole = same(state / "state.npz", state.parent / "whole.npz")
    whole = whole and log == (state / "log.jsonl").read_bytes()
    print(f"after the damage, without a service, log and agent as before: {whole}")
    accounted = stopped < IMAGES and lost == twice == 0 and heard <= answered <= asked
    return accounted and right and whole


def main(arguments: list[str] | None = None) -> int:
    """Exit status 0: all is accounted for; 1: it is not; 130: Ctrl-C."""
    parser("bench.tour.for_operators", __doc__, as_json=False).parse_args(arguments)
    try:
        with tempfile.TemporaryDirectory() as folder:
            try:
                return 0 if tour(Path(folder)) else 1
            finally:
                for process in STARTED:  # none is left after Ctrl-C
                    process.kill()
                    process.wait()
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
