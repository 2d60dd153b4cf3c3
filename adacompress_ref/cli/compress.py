"""`adacompress compress`: choose a level for each image and write the payload."""

from __future__ import annotations

import argparse
import csv
import io
import json
import os
import sys
import unicodedata
from collections import Counter
from pathlib import Path
from typing import Any

from ..imaging import read as images
from ..imaging.parallel import cores
from ..storage import files
from ..storage.files import ImageError, printable, reason
from .common import (
    Input,
    about,
    find_inputs,
    on_standard_output,
    open_pilot,
    percent,
    read_names,
    real,
    say,
    say_of,
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
    pilot = open_pilot(arguments, threads=max(1, cores() // arguments.workers))
    has_webp = any(encoding.format == "webp" for encoding in pilot.view.encodings)
    folder = None
    if not (to_standard_output or arguments.noaction):
        folder = _Folder(arguments, inputs, has_webp or arguments.webp)
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
        print(f"{'image':<40} {'encoding':>10} {'bytes':>9} {'of quality 75':>13}  output")
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
                raise ImageError(about(str(image.path), choice)) from choice
            if choice.lost_exif and not arguments.quiet:
                lost = ", ".join(choice.lost_exif)
                say_of(str(image.path), f"EXIF is kept without what cannot be: {lost}")
            output = folder.save(image, choice.payload) if folder else None
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
    found = find_inputs(named, Path(arguments.output))
    inputs = list({image.path: image for image in found}.values())
    if "-" in arguments.images:
        inputs.insert(0, Input(Path("stdin"), "stdin"))
    if not inputs:
        raise ValueError("the list of --files-from names no image")
    return inputs


class _Folder:
    """Where payloads go: each input has an output of its own, which its path alone decides.

    Raises ValueError where two inputs have one output, on any file system, or it is an input.
    """

    def __init__(self, arguments: argparse.Namespace, inputs: list[Input], has_webp: bool) -> None:
        self.path, self.overwrite = Path(arguments.output), arguments.overwrite
        self.keep_tree, self.preserve = arguments.keep_tree, arguments.preserve
        if self.path.exists() and not self.path.is_dir():
            raise ValueError(f"{printable(str(self.path))}: a file; name a folder with -o")
        owners: dict[str, Input] = {}
        for image in (image for image in inputs if not image.error):
            for ending in ("jpg", "webp")[: 1 + has_webp]:
                output = self.output(image, ending)
                owner = owners.setdefault(_folded(output), image)
                if owner is not image:
                    raise ValueError(
                        f"{owner.shown} and {image.shown}: both would be written as "
                        f"{printable(str(output))}; rename one, or use --keep-tree"
                    )
        for image in inputs:
            if writer := owners.get(_folded(image.path)):
                raise ValueError(
                    f"{writer.shown}: would overwrite an input, {image.shown}; name another folder "
                    "with -o"
                )

    def output(self, image: Input, ending: str) -> Path:
        """The file for an input, by its path below the folder named, or all of it."""
        name, replaced = Path(image.name), images.ENDINGS
        if self.keep_tree:
            parts = (part for part in image.path.parts if part not in (image.path.anchor, ".."))
            name, replaced = Path(*parts), frozenset(("jpg",))
        base = name.with_suffix("") if name.suffix[1:].lower() in replaced else name
        return self.path / base.with_name(f"{base.name}.{ending}")

    def save(self, image: Input, payload: bytes) -> Path:
        """Write a payload where it belongs. Raises ImageError where that must not be replaced."""
        output = self.output(image, "webp" if payload[8:12] == b"WEBP" else "jpg")
        is_there = output.is_file() and output.read_bytes() == payload
        if output.is_file() and not (is_there or self.overwrite):
            raise ImageError(
                f"{printable(str(output))}: exists and differs; name another folder with -o, or "
                "replace it with --overwrite"
            )
        if not is_there:
            output.parent.mkdir(parents=True, exist_ok=True)
            files.save_atomically(output, payload)
        if self.preserve and not image.piped:
            dates = os.stat(image.path)
            os.utime(output, ns=(dates.st_atime_ns, dates.st_mtime_ns))
        return output


def _folded(path: Path) -> str:
    """The same for names that are one on some file system; a link that leads nowhere has one."""
    return unicodedata.normalize("NFC", str(real(path))).casefold()


def _show(record: dict[str, Any], rows: str) -> None:
    if rows == "json":
        print(json.dumps(record), flush=True)
    elif rows == "csv":
        shown = printable if sys.stdout.isatty() else str  # programs get names as they are
        values = [shown(value) if isinstance(value, str) else value for value in record.values()]
        csv.writer(row := io.StringIO(), lineterminator="\n").writerow(values)
        sys.stdout.flush()
        sys.stdout.buffer.write(os.fsencode(row.getvalue()))  # a name is bytes
        sys.stdout.flush()
    elif rows == "text" and record["error"] is None:
        ratio = percent(record["bytes"], record["reference_bytes"] or 0)
        print(
            f"{printable(record['image']):<40} {record['encoding']:>10} "
            f"{record['bytes']:>9} {ratio:>13}  {printable(record['output'] or '')}",
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
