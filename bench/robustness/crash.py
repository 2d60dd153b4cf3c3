"""A run that is killed again and again, and continued: does it end as one that was left alone?

`kill -9` at random moments: a random number of images after each start, at a random point within
the next one; one kill in five while the process is still starting. The service is a local server,
so that it can be counted how many images were uploaded again.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

import adacompress_ref as ac
from adacompress_ref.server.standin import Server
from adacompress_ref.storage.arrays import load_arrays

from ..command import PHOTOGRAPHS, reported
from .faults import crops, use

CLIENT = "baidu"


def run_command(folder: Path, state: Path) -> list[str]:
    """A run over a folder."""
    return [
        *(sys.executable, "-m", "adacompress_ref", "run", "--quiet", "--json"),
        *("--images", str(folder), "--service", CLIENT, "--state", str(state)),
    ]


def lines(state: Path) -> int:
    """Images in the log of a run."""
    log = state / "log.jsonl"
    return log.read_bytes().count(b"\n") if log.exists() else 0


def run(folder: Path, state: Path) -> float:
    """A run to its end; its seconds."""
    started = time.monotonic()
    done = subprocess.run(run_command(folder, state), stdout=subprocess.DEVNULL, check=False)
    if done.returncode:
        raise SystemExit(f"the run ended with status {done.returncode}")
    return time.monotonic() - started


def run_and_kill(folder: Path, state: Path, images: int, delay: float) -> None:
    """Start a run and kill it `delay` seconds after so many images; -1: after its start."""
    before = lines(state)
    with subprocess.Popen(run_command(folder, state), stdout=subprocess.DEVNULL) as process:
        while images >= 0 and lines(state) < before + images and process.poll() is None:
            time.sleep(0.002)
        time.sleep(delay)
        process.kill()


def same(one: Path, other: Path) -> bool:
    """Whether two saved states hold the same, byte for byte."""
    (fields, arrays), (others, other_arrays) = (load_arrays(state) for state in (one, other))
    return (
        json.dumps(fields) == json.dumps(others)  # as text, where NaN equals NaN
        and arrays.keys() == other_arrays.keys()
        and all(array.tobytes() == other_arrays[name].tobytes() for name, array in arrays.items())
    )


def measure(images: int, kills: int, seed: int) -> dict[str, Any]:
    """Both runs."""
    rng = np.random.default_rng(seed)
    service = ac.open_service("squeezenet")
    with tempfile.TemporaryDirectory() as made, Server(service) as server, use(server):
        folder, whole, parts = (Path(made, name) for name in ("photos", "whole", "parts"))
        folder.mkdir()
        for number, photo in enumerate(crops(PHOTOGRAPHS, images, rng)):
            (folder / f"{number:05}.jpg").write_bytes(photo.file)
        seconds = run(folder, whole)
        uploads = server.answered
        each = max(0.0, seconds - 1.5) / images
        for number in range(kills):
            left = images - lines(parts)
            starting = rng.random() < 0.2
            before = -1 if starting else int(rng.integers(2 * left // (kills - number) + 1))
            run_and_kill(folder, parts, before, rng.uniform(0, 1.5 if starting else 2 * each))
            print(f"kill {number + 1}/{kills}: {lines(parts)} images", file=sys.stderr)
        run(folder, parts)
        logs = [(state / "log.jsonl").read_bytes() for state in (whole, parts)]
        return {
            "images": images,
            "kills": kills,
            "log_equal": logs[0] == logs[1],
            "agent_equal": same(whole / "state.npz", parts / "state.npz"),
            "lines": len(logs[1].splitlines()),
            "uploads": uploads,
            "uploads_with_kills": server.answered - uploads,
        }


def main(arguments: list[str] | None = None) -> int:
    """Exit status 0: log and agent are equal; 1: they are not."""
    defaults = {"images": 1000, "kills": 100, "seed": 0}
    report = reported("bench.robustness.crash", __doc__, measure, arguments, **defaults)
    return 0 if report["log_equal"] and report["agent_equal"] else 1


if __name__ == "__main__":
    sys.exit(main())
