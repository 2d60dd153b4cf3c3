"""`adacompress report`: a run or an evaluation as one page."""

from __future__ import annotations

import argparse
import hashlib
import io
import json
from pathlib import Path
from typing import Any

from PIL import Image

from .. import report
from ..core.config import REFERENCE, Encoding
from ..core.controller import Controller
from ..imaging import codec
from ..imaging import read as images
from ..imaging.extractor import Extractor
from ..imaging.read import Photo
from ..report import Case
from ..report.heatmaps import explain, overlay, scaled
from ..running import runlog
from ..running.pilot import AdaCompress
from ..running.snapshot import unpack
from ..storage import files
from ..storage.arrays import load_arrays
from ..storage.files import ImageError, printable, reason
from ..storage.jsonlines import read_lines
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

_SIDE = 420  # pixels that a thumbnail may take


def main(arguments: argparse.Namespace) -> int:
    """Read the log, draw what can be drawn, write the page."""
    output, named = Path(arguments.output), Path(arguments.log)
    if not on_standard_output(arguments):
        if output.suffix.lower() not in (".html", ".htm"):
            shown = printable(str(output))
            raise ValueError(f"{shown}: the page is HTML; name a file that ends in .html with -o")
        check_output(arguments.output)
    log = named / "log.jsonl" if named.is_dir() else named
    piped, failed = arguments.log == "-", 0
    shown = "standard input" if piped else printable(str(log))
    if not (piped or log.is_file()):
        raise ValueError(
            f"{shown}: no such file; name a run's state folder, its log.jsonl, or what evaluate "
            "--json printed"
        )
    evaluation = _evaluation(standard_input() if piped else log.read_bytes())
    if piped and not evaluation:
        raise ValueError(f"{shown}: not what evaluate --json printed")
    if evaluation:
        try:
            page = report.of_evaluation(evaluation)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            what = f"has no {error}" if isinstance(error, KeyError) else reason(error)
            raise ValueError(
                f"{shown}: damaged ({what}); print it anew by evaluate --json"
            ) from error
        totals = evaluation
    else:
        lines, times = _lines(log), _times(log.with_name("times.jsonl"))
        settings, controller = _state(log.parent)
        cases, failed = _cases(arguments, lines, controller)
        page = report.of_run(lines, times, settings, cases)
        totals = runlog.summary(lines, times)
        totals["break_even_mbit_per_s"] = report.break_even(totals)
    write_output(arguments.output, page.encode())
    if arguments.json:
        print(json.dumps(totals))
    say(f"{printable(str(output))}: written, {len(page) // 1000:,} KB")
    return 1 if failed else 0


def _evaluation(data: bytes) -> dict[str, Any] | None:
    """What `evaluate --json` printed, where that is it."""
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) and "policies" in found else None


def _lines(log: Path) -> list[dict[str, Any]]:
    """The lines of a run's log. Raises ValueError naming the file."""
    shown = printable(str(log))
    try:
        lines = read_lines(log, runlog.check)
    except ValueError as error:
        raise ValueError(
            f"{shown}: neither a run's log ({error}) nor what evaluate --json printed"
        ) from error
    if not lines:
        raise ValueError(f"{shown}: no image is in it yet; run first")
    return lines


def _times(path: Path) -> list[dict[str, Any]]:
    """They are for information: without them, or where they are damaged, there are none."""
    try:
        return read_lines(path)
    except (ValueError, OSError):
        return []


def _state(folder: Path) -> tuple[dict[str, Any], Controller | None]:
    """Settings and config of the run in a state folder, and its controller, as far as whole."""
    for name in ("state.npz", "state.previous.npz"):
        if (folder / name).exists():
            try:
                fields, arrays = load_arrays(folder / name)
                controller = unpack(fields, arrays)
                named = {n: v for n, v in fields["settings"].items() if v is not None}
                return named | controller.config.to_json() | named, controller
            except Exception as error:  # damaged in any of many ways
                shown = printable(str(folder / name))
                say(f"adacompress: {shown}: damaged ({reason(error)}), passed over")
    return {}, None


def _cases(
    arguments: argparse.Namespace, lines: list[dict[str, Any]], controller: Controller | None
) -> tuple[list[Case], int]:
    """The worst disagreements, with pictures where photographs are named; how many have none."""
    worst = report.disagreements(lines)[: arguments.worst]
    if not arguments.images or not worst:
        return [Case(line) for line in worst], 0
    files.find(arguments.images)
    pilot = None
    if arguments.agent or arguments.preset:
        pilot = open_pilot(arguments)
    elif controller:
        agent = controller.agent
        pilot = AdaCompress(
            agent, Extractor(arguments.extractor, at_once=agent.config.state == "drift")
        )
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
    reference = codec.decode(codec.encode(photo.picture, REFERENCE))
    try:
        level = None if encoding == "original" else Encoding.parse(encoding)
    except ValueError as error:
        raise ImageError(f"{photo.name}: {error}") from error
    sent = codec.decode(codec.encode(photo.picture, level)) if level else photo.picture
    heat = None
    if pilot:
        try:
            heat = _heat(pilot, photo, encoding)
        except ValueError as error:
            say_of(photo.name, f"no heat map: {printable(str(error))}")
    width, height = photo.picture.size
    scale = _SIDE / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = [codec.resized(each, size, "bilinear") for each in (reference, sent)]
    return Case(line, _jpeg(small[0]), _jpeg(small[1]), heat)


def _heat(pilot: AdaCompress, photo: Photo, name: str) -> bytes:
    names = [encoding.name for encoding in pilot.config.encodings]
    if name not in names:
        raise ValueError(f"{name} is not of the agent's levels")
    formats = ("jpeg", "webp") if name.startswith("webp") else ("jpeg",)
    one = explain(pilot, photo, names.index(name), formats)
    return _jpeg(overlay(one.picture, scaled(one.heat)[0]))


def _jpeg(picture: Image.Image) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=85)
    return stream.getvalue()
