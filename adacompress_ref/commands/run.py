"""`adacompress run`: the three states over a stream of images."""

from __future__ import annotations

import argparse
import hashlib
import json
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import artifacts, files, images, runlog
from ..config import DEFAULT_PRESET, preset
from ..files import ImageError, printable
from ..images import Photo
from ..pilot import AdaCompress, Result
from ..progress import Progress
from ..services import RefusedError, Service, ServiceError
from ..state import SAVE_EVERY, StateError, StateFolder
from ..survival import ALPHAS
from . import open_named_service, open_pilot, percent, say

LOOK_EVERY = 0.2  # seconds, for a signal while the service is away


def main(arguments: argparse.Namespace) -> int:
    """Send the images of a folder in the order of their names; with a state folder, go on."""
    service = open_named_service(arguments)
    names = files.find(arguments.images)
    pilot = _open_pilot(arguments)
    run = Run(arguments, pilot, service)
    try:
        return _report(run, names, arguments)
    finally:
        if run.folder:
            run.folder.close()


def _report(run: Run, names: list[str], arguments: argparse.Namespace) -> int:
    left = _left(Path(arguments.images), names, run.lines)
    if run.lines:
        say(f"{len(names) - len(left)} images were done before, {len(left)} are left")
    if not arguments.json:
        print(f"{'image':<28} {'state':<9} {'encoding':>9} {'bytes':>8} {'of q75':>7} kept answer")
    with _stop_signal() as stop:
        stopped, gone = run.send(left, stop)
    totals = runlog.summary(run.lines, run.times)
    if arguments.agreement and totals["alpha"] == ALPHAS[1]:
        say(f"adacompress: an agreement of {arguments.agreement:g} is out of reach so far")
    if arguments.json:
        print(json.dumps({"totals": totals}))
    else:
        _show_totals(totals)
    hint = "run the same command to go on" if run.folder else "without --state nothing is kept"
    if gone:
        say(f"adacompress: {gone}")
        say(f"adacompress: {len(run.lines)} images are done, the others wait; {hint}")
        return 1
    if stopped:
        say(f"adacompress: stopped after {len(run.lines)} images; {hint}")
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
    return StateFolder(arguments.state, settings, runlog.FIELDS)


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


class Run:
    """A pilot, a service, and the log of what they did; with a state folder, from where it was."""

    def __init__(self, arguments: argparse.Namespace, pilot: AdaCompress, service: Service) -> None:
        self.arguments, self.pilot, self.service = arguments, pilot, service
        self.folder = _open_state(arguments, pilot)
        self.lines: list[dict[str, Any]] = self.folder.lines if self.folder else []
        self.times: list[dict[str, Any]] = self.folder.times if self.folder else []
        if self.folder and self.folder.controller is None:
            self.folder.save(pilot.controller)
        elif self.folder:
            self._resume(self.folder)

    def _resume(self, folder: StateFolder) -> None:
        """Go on from the state; lines logged after it are learned from again."""
        if folder.notice:
            say(f"adacompress: {folder.notice}")
        if folder.controller:
            self.pilot.resume(folder.controller)
        for line in folder.lines[folder.known :]:
            if line["error"] is None and not self._learn_again(line):
                controller = folder.load()
                assert controller is not None
                self.pilot.resume(controller)
                missed = len(folder.lines) - folder.known
                say(
                    f"adacompress: {printable(line['image'])} has changed since it was sent; "
                    f"the last {missed} images are kept in the log, but not learned from again"
                )
                break
        if len(folder.lines) > folder.known:
            folder.save(self.pilot.controller)

    def _learn_again(self, line: dict[str, Any]) -> bool:
        try:
            photo, sha256 = self._read(line["image"])
            return sha256 == line["sha256"] and runlog.learn_again(
                self.pilot, line, photo, self.service
            )
        except (ImageError, ServiceError, KeyError, TypeError, ValueError):
            return False

    def _read(self, name: str) -> tuple[Photo, str]:
        path = Path(self.arguments.images, name)
        photo = images.read(path, name=name, pixel_limit=self.arguments.pixel_limit)
        return photo, hashlib.sha256(photo.file).hexdigest()

    def send(self, names: list[str], stop: _Stop) -> tuple[bool, str]:
        """Send images, log and save as it goes.

        Returns whether it was stopped before the last, and why the service was given up, if so.
        """
        progress = Progress("run", len(names), self.arguments.quiet or not self.arguments.json)
        try:
            for name in names:
                try:
                    line, times = self._send(name, stop)
                except ServiceError as error:
                    self.save()
                    return bool(stop.signal), "" if stop.signal else str(error)
                if self.folder:
                    self.folder.append(line, times)
                    if len(self.lines) % SAVE_EVERY == 0:
                        self.save()
                else:
                    self.lines.append(line)
                    self.times.append(times)
                progress.advance()
                _show(line, self.arguments.json)
                if stop.signal and name != names[-1]:
                    self.save()
                    return True, ""
        except StateError:  # the log lacks this image
            raise
        except Exception:  # not KeyboardInterrupt, which may have cut a step in two
            self.save()
            raise
        self.save()
        return False, ""

    def save(self) -> None:
        """The state, if it is kept."""
        if self.folder:
            self.folder.save(self.pilot.controller)

    def _send(self, name: str, stop: _Stop) -> tuple[dict[str, Any], dict[str, Any]]:
        """One image: its line in the log and its line of times. Raises ServiceError."""
        started = time.perf_counter()
        sha256, seconds = None, {}
        try:
            photo, sha256 = self._read(name)
            result = self._upload(photo, stop)
            line, seconds = runlog.answer(name, sha256, result), result.seconds
        except (ImageError, RefusedError) as error:
            digest = sha256 or _digest(Path(self.arguments.images, name))
            line = runlog.failure(name, digest, error)
        seconds = seconds | {"total": time.perf_counter() - started}
        return line, {"image": name} | {what: round(seconds[what], 6) for what in seconds}

    def _upload(self, photo: Photo, stop: _Stop) -> Result:
        """Upload, and wait for a service that is away, as long as --wait says."""
        given_up = None
        while True:
            try:
                return self.pilot.upload(photo, self.service)
            except ServiceError as error:
                now = time.monotonic()
                given_up = given_up or now + self.arguments.wait
                pause = max(1.0, getattr(error, "retry_after", None) or 5.0)
                if not error.retryable or now + pause > given_up or stop.signal:
                    raise
                say(f"adacompress: {photo.name} waits {pause:.0f} s: {error}")
                while time.monotonic() < now + pause and not stop.signal:
                    time.sleep(LOOK_EVERY)


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
    if line["error"] or line["fault"]:
        say(f"adacompress: {line['error'] or line['fault']}")


def _show_totals(totals: dict[str, Any]) -> None:
    for what, found in totals["seconds"].items():
        shown = ", ".join(f"{name} {1000 * value:.0f} ms" for name, value in found.items())
        say(f"{what}: {shown}")
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
