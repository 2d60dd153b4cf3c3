"""`adacompress compress`: choose a level for each image and write the payload."""

from __future__ import annotations

import argparse
import csv
import io
import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from ..imaging import read as images
from ..imaging.parallel import cores
from ..storage import files
from ..storage.files import ImageError, printable, reason
from .common import (
    Input,
    find_inputs,
    on_standard_output,
    open_pilot,
    percent,
    read_names,
    say,
    standard_input,
    write_output,
)
from .progress import Progress

_FIELDS = ("image", "output", "encoding", "quality", "bytes", "reference_bytes", "size_ratio")


def main(arguments: argparse.Namespace) -> int:
    """Choose a level for each image and write the payload."""
    if arguments.output is None:
        arguments.output = "-" if "-" in arguments.images else "compressed"
    to_standard_output = not arguments.noaction and on_standard_output(arguments)
    inputs = _inputs(arguments)
    if to_standard_output and len(inputs) != 1:
        raise ValueError(f"standard output is for one image, not {len(inputs)}; name a folder")
    folder = None
    if not (to_standard_output or arguments.noaction):
        folder = _Folder(Path(arguments.output), inputs, arguments.overwrite)
    pilot = open_pilot(arguments, threads=max(1, cores() // arguments.workers))
    has_webp = any(encoding.format == "webp" for encoding in pilot.view.encodings)
    if arguments.webp and not has_webp and not arguments.quiet:
        say(f"adacompress: preset {pilot.config.preset} has no WebP level; --preset ladder has")
    if "-" in arguments.images:  # read before others work, so that Ctrl-C need not wait for it
        piped = io.BytesIO(standard_input(images.FILE_LIMIT + 1))
        piped.name = "stdin"
        inputs[0] = inputs[0]._replace(piped=piped)
    rows = "json" if arguments.json else "csv" if arguments.csv else "text"
    if rows == "text" and (arguments.quiet or to_standard_output):
        rows = "none"
    if rows == "text":
        print(f"{'image':<40} {'encoding':>10} {'bytes':>9} {'of quality 75':>13}")
    elif rows == "csv":
        print(",".join([*_FIELDS, "error"]))

    choices = pilot.choose_many(
        (image.piped or image.path for image in inputs if not image.error),
        workers=arguments.workers,
        formats=("jpeg", "webp") if arguments.webp else ("jpeg",),
        keep_exif=arguments.keep_exif,
        pixel_limit=arguments.pixel_limit,
        reference=arguments.reference,
    )
    totals: Counter[str] = Counter()
    progress = Progress("compress", len(inputs), arguments.quiet or rows in ("text", "none"))
    for image in inputs:
        record: dict[str, Any] = {**dict.fromkeys(_FIELDS), "image": str(image.path), "error": None}
        try:
            choice = image.error or next(choices)
            if isinstance(choice, ImageError):
                raise choice
            output = folder.save(image.name, choice.payload) if folder else None
            ratio = choice.size_ratio
            record["output"] = output and str(output)
            record |= {"encoding": choice.encoding, "quality": choice.quality}
            record |= {"bytes": len(choice.payload), "reference_bytes": choice.reference_bytes}
            record["size_ratio"] = None if ratio is None else round(ratio, 6)
            totals.update(done=1, original=choice.original_bytes, bytes=record["bytes"])
            totals.update(reference=choice.reference_bytes or 0)
        except ImageError as error:
            record["error"] = str(error)
        except OSError as error:
            place = printable(str(error.filename or arguments.output))
            record["error"] = f"{place}: {reason(error)}; mend that, or name another folder with -o"
        progress.clear()
        _show(record, rows)
        progress.advance()
        if to_standard_output and not isinstance(choice, ImageError):
            write_output("-", choice.payload)
    if arguments.totals or not (arguments.quiet or (to_standard_output and not totals)):
        _say_totals(totals, len(inputs), arguments)
    return 0 if totals["done"] == len(inputs) else 1


def _inputs(arguments: argparse.Namespace) -> list[Input]:
    """All images, standard input first. Raises ValueError."""
    named = [name for name in arguments.images if name != "-"]
    if arguments.files_from:
        named += read_names(arguments.files_from)
    inputs = find_inputs(named, Path(arguments.output))
    if "-" in arguments.images:
        inputs.insert(0, Input(Path("stdin"), "stdin"))
    if not inputs:
        raise ValueError("the list of --files-from names no image")
    return inputs


class _Folder:
    """Where payloads go: no two of a run to one name, and none in the place of an input."""

    def __init__(self, path: Path, inputs: list[Input], overwrite: bool) -> None:
        if path.exists() and not path.is_dir():
            raise ValueError(f"{printable(str(path))}: a file; name a folder with -o")
        self.path, self.overwrite = path, overwrite
        self.protected = {image.path.resolve() for image in inputs}
        self.taken: set[Path] = set()

    def save(self, name: str, payload: bytes) -> Path:
        """Write a payload where it belongs. Raises ImageError where that must not be replaced."""
        base = self.path / Path(name).with_suffix("")
        ending = "webp" if payload[8:12] == b"WEBP" else "jpg"
        output, number = base.with_name(f"{base.name}.{ending}"), 2
        while output in self.taken:
            output, number = base.with_name(f"{base.name}-{number}.{ending}"), number + 1
        self.taken.add(output)
        shown = printable(str(output))
        if output.resolve() in self.protected:
            raise ImageError(f"{shown}: would overwrite an input; name another folder with -o")
        if output.is_file():
            if output.read_bytes() == payload:
                return output
            if not self.overwrite:
                raise ImageError(
                    f"{shown}: exists and differs; name another folder with -o, or replace it "
                    "with --overwrite"
                )
        output.parent.mkdir(parents=True, exist_ok=True)
        files.save_atomically(output, payload)
        return output


def _show(record: dict[str, Any], rows: str) -> None:
    if rows == "json":
        print(json.dumps(record), flush=True)
    elif rows == "csv":
        shown = printable if sys.stdout.isatty() else str  # programs get names as they are
        values = [shown(value) if isinstance(value, str) else value for value in record.values()]
        csv.writer(sys.stdout, lineterminator="\n").writerow(values)
        sys.stdout.flush()
    elif rows == "text" and record["error"] is None:
        ratio = percent(record["bytes"], record["reference_bytes"] or 0)
        print(
            f"{printable(record['image']):<40} {record['encoding']:>10} "
            f"{record['bytes']:>9} {ratio:>13}",
            flush=True,
        )
    if record["error"] is not None:
        say(f"adacompress: {record['error']}")


def _say_totals(totals: Counter[str], count: int, arguments: argparse.Namespace) -> None:
    shares = f"{percent(totals['bytes'], totals['original'])} of the files as they were"
    shares += f" ({totals['original']:,})"
    if arguments.reference:
        reference = totals["reference"]
        shares = f"{percent(totals['bytes'], reference)} of quality 75 ({reference:,}), {shares}"
    written = totals["done"] and not arguments.noaction and arguments.output != "-"
    place = f"; in {printable(arguments.output)}" if written else ""
    say(f"{totals['done']} of {count} images, {totals['bytes']:,} bytes: in sum {shares}{place}")
