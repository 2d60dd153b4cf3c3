"""`adacompress report`: a run or an evaluation as one page."""

from __future__ import annotations

import argparse
import hashlib
import json
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from .. import agents, report
from ..core.roles import Agent
from ..imaging import codec
from ..imaging import read as images
from ..imaging.encoding import REFERENCE, Encoding
from ..imaging.read import Photo
from ..report import Case
from ..report.heatmaps import explain, fitted, overlay
from ..running import runlog, state
from ..running.folder import find
from ..running.live import open_extractor
from ..running.lock import StateError
from ..running.pilot import AdaCompress
from ..running.seen import counts, troubles
from ..services.jsonlines import read_lines
from ..storage.files import ImageError, printable, reason
from .common import (
    check_output,
    on_standard_output,
    open_pilot,
    say,
    say_of,
    standard_input,
    write_output,
)
from .progress import Progress

_SHOWN = Encoding("jpeg", None, 85)  # of pictures in the page


def main(arguments: argparse.Namespace) -> int:
    """Read the log, draw what can be drawn, write the page."""
    log, failed = Path(arguments.log), 0
    log = log / "log.jsonl" if log.is_dir() else log
    if not on_standard_output(arguments):
        check_output(arguments.output, [log], "html")
    piped = arguments.log == "-"
    shown = "standard input" if piped else printable(str(log))
    rotated = (log.parent / "state.npz").is_file() and not log.exists()
    if not (piped or rotated or log.is_file()):
        raise ValueError(
            f"{shown}: no such file; name a run's state folder, its log.jsonl, or what evaluate "
            "--json printed"
        )
    data = standard_input() if piped else b"" if rotated else log.read_bytes()
    totals = _evaluation(data)
    if totals:
        try:
            page = report.of_evaluation(totals)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            fault = f"has no {error}" if isinstance(error, KeyError) else reason(error)
            told = f"{shown}: damaged ({fault}); print it anew by evaluate --json"
            raise ValueError(told) from error
    elif piped:
        raise ValueError(f"{shown}: not what evaluate --json printed")
    else:
        lines = _lines(log, shown)
        times: list[dict[str, Any]] = []
        with suppress(ValueError, OSError):  # for information: damaged, there are none
            times = read_lines(log.with_name("times.jsonl"))
        agent, settings, totals = None, dict[str, Any](), runlog.summary(lines, times)
        try:
            if saved := state.load(log.parent):
                agent, given = saved[0].agent, saved[1]["settings"]
                named = {name: value for name, value in given.items() if value is not None}
                settings = named | asdict(agent.config) | named
                totals = saved[1]["totals"]
                for line in lines:
                    if (line.get("number") or 0) > saved[1]["lines"]:  # once there were no numbers
                        runlog.add(totals, line)
                totals = runlog.figures(totals, times, **counts(troubles(log.parent)))
        except StateError as error:
            say(f"adacompress: {error}")
        cases, failed = _cases(arguments, lines, agent)
        page = report.of_run(lines, times, settings, cases, totals)
        totals["break_even_mbit_per_s"] = report.break_even(totals)
    write_output(arguments.output, page.encode())
    if arguments.json:
        print(json.dumps(totals))
    say(f"{printable(arguments.output)}: written, {len(page) // 1000:,} KB")
    return 1 if failed else 0


def _evaluation(data: bytes) -> dict[str, Any] | None:
    """What `evaluate --json` printed, where that is it."""
    try:
        printed = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return printed if isinstance(printed, dict) and "policies" in printed else None


def _lines(log: Path, shown: str) -> list[dict[str, Any]]:
    """The lines of a run's log. Raises ValueError naming the file."""
    try:
        lines = read_lines(log, runlog.check)
    except ValueError as error:
        raise ValueError(
            f"{shown}: neither a run's log ({error}) nor what evaluate --json printed"
        ) from error
    if not (lines or log.with_name("state.npz").is_file()):
        raise ValueError(f"{shown}: no image is in it yet; run first")
    return lines


def _cases(
    arguments: argparse.Namespace, lines: list[dict[str, Any]], agent: Agent | None
) -> tuple[list[Case], int]:
    """The worst disagreements, with pictures where photographs are named; how many have none."""
    worst = report.disagreements(lines)[: arguments.worst]
    if not arguments.images or not worst:
        return [Case(line) for line in worst], 0
    find(arguments.images)
    pilot = None
    if arguments.agent or arguments.preset:
        pilot = open_pilot(arguments)
    elif agent:
        view = agents.view_of(agent.config)
        pilot = AdaCompress(agent, open_extractor(view, arguments.extractor))
    else:
        say("adacompress: no heat maps without the run's agent; name it with --agent or --preset")
    progress, cases, failed = Progress("report", len(worst), arguments.quiet), [], 0
    for line in worst:
        try:
            cases.append(_case(line, Path(arguments.images), pilot, arguments.pixel_limit))
        except ImageError as error:
            cases.append(Case(line))
            say_of(line["image"], error)
            failed += 1
        progress.advance()
    return cases, failed


def _case(line: dict[str, Any], folder: Path, pilot: AdaCompress | None, limit: int) -> Case:
    """Both uploads of one image, made anew. Raises ImageError."""
    name, encoding = line["image"], line["encoding"]
    photo = images.read(folder / name, name=name, pixel_limit=limit)
    if hashlib.sha256(photo.file).hexdigest() != line["sha256"]:
        raise ImageError(f"{photo.name}: not the file that was sent; name the folder of that run")
    try:
        level = None if encoding == "original" else Encoding.parse(encoding)
    except ValueError as error:
        raise ImageError(f"{photo.name}: {error}") from error
    small = []
    for uploaded in (REFERENCE, level):
        picture = photo.picture
        if uploaded:
            picture = codec.decode(codec.encode(picture, uploaded))
        small.append(codec.encode(fitted(picture), _SHOWN))
    heat: tuple[Any, ...] = ()
    if pilot:
        try:
            heat = _heat(pilot, photo, encoding)
        except ValueError as error:
            say_of(photo.name, f"no heat map: {printable(str(error))}")
    return Case(line, small[0], small[1], *heat)


def _heat(pilot: AdaCompress, photo: Photo, name: str) -> tuple[bytes, str]:
    """The picture of it, and its verdict. Raises ValueError."""
    formats = ("jpeg", "webp") if name.startswith("webp") else ("jpeg",)
    found = explain(pilot, photo, name, formats)
    return codec.encode(overlay(found.picture, found.heat), _SHOWN), found.verdict
