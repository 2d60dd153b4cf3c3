"""`adacompress run`: the three states over a stream of images."""

from __future__ import annotations

import argparse
import hashlib
import json
import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .. import artifacts, files, images
from ..config import DEFAULT_PRESET, preset
from ..files import ImageError, printable
from ..pilot import AdaCompress, Result
from ..progress import Progress
from ..services import Service, open_service
from ..state import SAVE_EVERY, StateError, StateFolder
from ..survival import ALPHAS
from . import open_pilot, percent, say

_OF_RESULT = ("state", "encoding", "quality", "bytes_sent", "reference_bytes", "original_bytes")
_OF_STEP = ("accuracy", "agreement", "reward", "mean_accuracy", "p_est", "epsilon", "alpha")
FIELDS = ("image", "sha256", "error", "bytes", "labels", *_OF_RESULT, *_OF_STEP)  # of a log line


def main(arguments: argparse.Namespace) -> int:
    """Send the images of a folder in the order of their names; with a state folder, go on."""
    service = open_service(arguments.service)
    names = files.find(arguments.images)
    pilot = _open_pilot(arguments)
    folder = _open_state(arguments, pilot)
    lines = folder.lines if folder else []
    left = _left(Path(arguments.images), names, lines)
    if lines:
        say(f"{len(names) - len(left)} images were done before, {len(left)} are left")
    if not arguments.json:
        print(f"{'image':<28} {'state':<9} {'encoding':>9} {'bytes':>8} {'of q75':>7} kept answer")
    with _stop_signal() as stop:
        stopped = _stream(arguments, pilot, service, left, lines, folder, stop)
    totals = summary(lines)
    if arguments.agreement and totals["alpha"] == ALPHAS[1]:
        say(f"adacompress: an agreement of {arguments.agreement:g} is out of reach so far")
    if arguments.json:
        print(json.dumps({"totals": totals}))
    else:
        _show_totals(totals)
    if stopped:
        hint = "run the same command to go on" if folder else "without --state nothing is kept"
        say(f"adacompress: stopped after {len(lines)} images; {hint}")
        return 128 + stop.signal
    return 1 if totals["failed"] else 0


def _open_pilot(arguments: argparse.Namespace) -> AdaCompress:
    if arguments.untrained:
        settings = preset(arguments.preset or DEFAULT_PRESET)
        pilot = AdaCompress.untrained(settings, seed=arguments.seed)
        pilot.aim(arguments.alpha, arguments.agreement)
        return pilot
    return open_pilot(arguments, arguments.seed)


def _open_state(arguments: argparse.Namespace, pilot: AdaCompress) -> StateFolder | None:
    """The folder, if any is named; where it holds a state, the pilot takes it up."""
    if not arguments.state:
        return None
    settings = {
        "service": arguments.service,
        "preset": pilot.config.preset,
        "agent": artifacts.sha256(arguments.agent) if arguments.agent else None,
        "untrained": arguments.untrained,
        "seed": arguments.seed,
        "alpha": arguments.alpha,
        "agreement": arguments.agreement,
    }
    folder = StateFolder(arguments.state, settings, FIELDS)
    if folder.controller:
        pilot.resume(folder.controller)
    else:
        folder.save(pilot.controller)
    return folder


def _left(folder: Path, names: list[str], lines: list[dict[str, Any]]) -> list[str]:
    """Images that no line of the log has, by name and content."""
    known = {line["image"] for line in lines}
    done = {(line["image"], line["sha256"]) for line in lines}
    return [n for n in names if n not in known or (n, _digest(folder / n)) not in done]


def _digest(path: Path) -> str | None:
    """SHA-256 of a file of any size; None where it cannot be read."""
    digest = hashlib.sha256()
    try:
        with open(path, "rb") as file:
            while part := file.read(2**20):
                digest.update(part)
    except OSError:
        return None
    return digest.hexdigest()


@dataclass
class _Stop:
    signal: int = 0  # that asked to stop


@contextmanager
def _stop_signal() -> Iterator[_Stop]:
    """Within, Ctrl-C or SIGTERM asks to stop after the image at hand; another stops at once."""
    stop = _Stop()

    def note(number: int, _: object) -> None:
        stop.signal = number
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)

    before = {each: signal.signal(each, note) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def _stream(
    arguments: argparse.Namespace,
    pilot: AdaCompress,
    service: Service,
    names: list[str],
    lines: list[dict[str, Any]],
    folder: StateFolder | None,
    stop: _Stop,
) -> bool:
    """Send images, log and save as it goes. Returns whether it was stopped before the last."""
    progress = Progress("run", len(names), arguments.quiet or not arguments.json)
    stopped = False
    try:
        for name in names:
            line, times = _send(pilot, service, arguments, name)
            lines.append(line)
            if folder:
                folder.append(line, times)
                if len(lines) % SAVE_EVERY == 0:
                    folder.save(pilot.controller)
            progress.advance()
            _show(line, arguments.json)
            if stop.signal and name != names[-1]:
                stopped = True
                break
    except StateError:  # the log lacks this image
        raise
    except Exception:  # not KeyboardInterrupt, which may have cut a step in two
        if folder:
            folder.save(pilot.controller)
        raise
    if folder:
        folder.save(pilot.controller)
    return stopped


def _send(
    pilot: AdaCompress, service: Service, arguments: argparse.Namespace, name: str
) -> tuple[dict[str, Any], dict[str, Any]]:
    """One image: its line in the log and its line of times."""
    started = time.perf_counter()
    path = Path(arguments.images, name)
    line: dict[str, Any] = dict.fromkeys(FIELDS) | {"image": name}
    try:
        photo = images.read(path, name=name, pixel_limit=arguments.pixel_limit)
        line["sha256"] = hashlib.sha256(photo.file).hexdigest()
        line |= _logged(pilot.upload(photo, service))
    except ImageError as error:
        line |= {"sha256": line["sha256"] or _digest(path), "error": str(error)}
    return line, {"image": name, "seconds": round(time.perf_counter() - started, 6)}


def _logged(result: Result) -> dict[str, Any]:
    return {
        "bytes": result.step.compressed_bytes,
        "labels": [[label.name, round(label.score, 6)] for label in result.labels[:5]],
        **{name: getattr(result, name) for name in _OF_RESULT},
        **{name: getattr(result.step, name) for name in _OF_STEP},
    }


def summary(lines: list[dict[str, Any]]) -> dict[str, Any]:
    """The totals of a log. A failed image that was sent later, its file mended, counts once."""
    sent = [line for line in lines if line["error"] is None]
    latest = {line["image"]: line for line in lines}.values()
    failed = sum(line["error"] is not None for line in latest)
    measured = [line["agreement"] for line in sent if line["agreement"] is not None]
    reference = sum(line["reference_bytes"] for line in sent)
    total = sum(line["bytes_sent"] for line in sent)
    ratios = [line["bytes"] / line["reference_bytes"] for line in sent]
    return {
        "images": len(sent) + failed,
        "failed": failed,
        "states": dict(Counter(line["state"] for line in sent)),
        "unlabelled": sum(not line["labels"] for line in sent),
        "agreement": float(np.mean(measured)) if measured else None,
        "measured": len(measured),
        "size_ratio": float(np.mean(ratios)) if ratios else None,
        "net_size_ratio": total / reference if reference else None,
        "bytes_sent": total,
        "reference_bytes": reference,
        "original_bytes": sum(line["original_bytes"] for line in sent),
        "alpha": sent[-1]["alpha"] if sent else None,
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
