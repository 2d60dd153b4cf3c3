"""`adacompress run`: the three states over a stream of images."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .. import images
from ..config import preset
from ..images import ImageError, printable
from ..pilot import AdaCompress, Result
from ..progress import Progress
from ..services import Service, open_service
from ..state import SAVE_EVERY, StateFolder
from . import open_pilot, percent, say


def main(arguments: argparse.Namespace) -> int:
    """Send the images of a folder in the order of their names; with a state folder, go on."""
    service = open_service(arguments.service)
    names = images.find(arguments.images)
    folder = _open_state(arguments)
    pilot = _open_pilot(arguments, folder)
    lines = folder.lines if folder else []
    done = {line["image"] for line in lines}
    left = [name for name in names if name not in done]
    if done:
        say(f"{len(names) - len(left)} images were done before, {len(left)} are left")
    if not arguments.json:
        print(f"{'image':<28} {'state':<9} {'encoding':>9} {'bytes':>8} {'of q75':>7} kept answer")
    progress = Progress("run", len(left), arguments.quiet or not arguments.json)
    stopped = False
    with _stop_signal() as stop:
        try:
            for name in left:
                line, times = _send(pilot, service, arguments, name)
                lines.append(line)
                if folder:
                    folder.append(line, times)
                    if len(lines) % SAVE_EVERY == 0:
                        folder.save(pilot.controller)
                progress.advance()
                _show(line, arguments.json)
                if stop.asked and name != left[-1]:
                    stopped = True
                    break
        finally:
            # not after a second Ctrl-C, which may have cut a step in two
            if folder and not isinstance(sys.exc_info()[1], KeyboardInterrupt):
                folder.save(pilot.controller)
    totals = summary(lines)
    if arguments.json:
        print(json.dumps({"totals": totals}))
    else:
        _show_totals(totals)
    if stopped:
        hint = "run the same command to go on" if folder else "without --state nothing is kept"
        say(f"adacompress: stopped after {len(lines)} images; {hint}")
        return 130
    return 1 if totals["failed"] else 0


def _open_state(arguments: argparse.Namespace) -> StateFolder | None:
    if not arguments.state:
        return None
    names = ("service", "preset", "agent", "untrained", "seed")
    return StateFolder(arguments.state, {name: getattr(arguments, name) for name in names})


def _open_pilot(arguments: argparse.Namespace, folder: StateFolder | None) -> AdaCompress:
    """As it was when the state was kept, or new."""
    if arguments.untrained:
        pilot = AdaCompress.untrained(preset(arguments.preset), seed=arguments.seed)
    else:
        pilot = open_pilot(arguments)
    if folder and folder.controller:
        pilot.resume(folder.controller)
    elif folder:
        folder.save(pilot.controller)
    return pilot


@dataclass
class _Stop:
    asked: bool = False


@contextmanager
def _stop_signal() -> Iterator[_Stop]:
    """Within, Ctrl-C asks to stop after the image at hand; a second one stops at once."""
    stop = _Stop()

    def note(*_: object) -> None:
        stop.asked = True
        signal.signal(signal.SIGINT, signal.default_int_handler)

    before = signal.signal(signal.SIGINT, note)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)


def _send(
    pilot: AdaCompress, service: Service, arguments: argparse.Namespace, name: str
) -> tuple[dict[str, Any], dict[str, Any]]:
    """One image: its line in the log and its line of times."""
    started = time.perf_counter()
    line: dict[str, Any] = {"image": name, "error": None}
    try:
        photo = images.read(
            Path(arguments.images, name), name=name, pixel_limit=arguments.pixel_limit
        )
        line |= _logged(pilot.upload(photo, service))
    except ImageError as error:
        line["error"] = str(error)
    return line, {"image": name, "seconds": round(time.perf_counter() - started, 6)}


def _logged(result: Result) -> dict[str, Any]:
    step = result.step
    return {
        "state": result.state,
        "encoding": result.encoding,
        "quality": result.quality,
        "bytes": step.compressed_bytes,
        "bytes_sent": result.bytes_sent,
        "reference_bytes": result.reference_bytes,
        "original_bytes": result.original_bytes,
        "labels": [[label.name, round(label.score, 6)] for label in result.labels[:5]],
        "accuracy": step.accuracy,
        "agreement": step.agreement,
        "reward": step.reward,
        "mean_accuracy": step.mean_accuracy,
        "p_est": step.p_est,
        "epsilon": step.epsilon,
    }


def summary(lines: list[dict[str, Any]]) -> dict[str, Any]:
    """The totals of a log."""
    sent = [line for line in lines if line["error"] is None]
    measured = [line["agreement"] for line in sent if line["agreement"] is not None]
    reference = sum(line["reference_bytes"] for line in sent)
    total = sum(line["bytes_sent"] for line in sent)
    ratios = [line["bytes"] / line["reference_bytes"] for line in sent]
    return {
        "images": len(lines),
        "failed": len(lines) - len(sent),
        "states": dict(Counter(line["state"] for line in sent)),
        "unlabelled": sum(not line["labels"] for line in sent),
        "agreement": float(np.mean(measured)) if measured else None,
        "measured": len(measured),
        "size_ratio": float(np.mean(ratios)) if ratios else None,
        "net_size_ratio": total / reference if reference else None,
        "bytes_sent": total,
        "reference_bytes": reference,
        "original_bytes": sum(line["original_bytes"] for line in sent),
    }


def _show(line: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print(json.dumps(line), flush=True)
    elif line["error"] is None:
        kept = {None: "", 1.0: "yes", 0.0: "no"}[line["agreement"]]
        name, score = line["labels"][0] if line["labels"] else ("(no label)", 0.0)
        print(
            f"{printable(line['image']):<28} {line['state']:<9} {line['encoding']:>9} "
            f"{line['bytes']:>8} {percent(line['bytes'], line['reference_bytes']):>7} "
            f"{kept:<4} {printable(name)} {score:.2f}",
            flush=True,
        )
    if line["error"] is not None:
        say(f"adacompress: {line['error']}")


def _show_totals(totals: dict[str, Any]) -> None:
    states = ", ".join(f"{count} {state}" for state, count in sorted(totals["states"].items()))
    print(f"{totals['images']} images, {totals['failed']} failed; {states or 'none sent'}")
    if not totals["reference_bytes"]:
        return
    kept = "not measured: no estimate yet"
    if totals["measured"]:
        kept = f"{totals['agreement']:.3f} in {totals['measured']} measured"
    print(f"agreement with quality 75: {kept}")
    print(
        f"bytes: compressed uploads {totals['size_ratio']:.3f} of quality 75 in the mean; "
        f"all uploads, references included, {totals['net_size_ratio']:.3f}; "
        f"{percent(totals['bytes_sent'], totals['original_bytes'])} of the files as they were"
    )
