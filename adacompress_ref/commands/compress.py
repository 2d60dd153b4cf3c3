"""`adacompress compress`: choose a level for each image and write the payload."""

from __future__ import annotations

import argparse
import json
from collections import Counter
from pathlib import Path
from typing import Any

from .. import files, images
from ..files import ImageError, printable
from ..parallel import cores, in_order
from ..pilot import Choice
from ..progress import Progress
from . import Input, find_inputs, open_pilot, percent, say


def main(arguments: argparse.Namespace) -> int:
    """Choose a level for each image and write the payload."""
    inputs = find_inputs(arguments.images, Path(arguments.output))
    pilot = open_pilot(arguments, threads=max(1, cores() // arguments.workers))
    if arguments.webp and all(each.format != "webp" for each in pilot.config.encodings):
        say(f"adacompress: preset {pilot.config.preset} has no WebP level; --preset ladder has")
    protected = {each.path.resolve() for each in inputs}
    taken: set[Path] = set()
    totals: Counter[str] = Counter()
    progress = Progress("compress", len(inputs), arguments.quiet or not arguments.json)
    if not arguments.json:
        print(f"{'image':<40} {'encoding':>10} {'bytes':>9} {'of quality 75':>13}")
    formats = ("jpeg", "webp") if arguments.webp else ("jpeg",)

    def choose(one: Input) -> tuple[Choice, int] | ImageError:
        """What to write, and how many bytes the file has."""
        try:
            if one.error:
                raise one.error
            photo = images.read(one.path, pixel_limit=arguments.pixel_limit)
            options = {"keep_exif": arguments.keep_exif, "reference": arguments.reference}
            return pilot.choose(photo, formats=formats, **options), len(photo.file)
        except ImageError as error:
            return error

    for one, found in zip(inputs, in_order(choose, inputs, arguments.workers), strict=True):
        record: dict[str, Any] = dict.fromkeys(
            ("output", "encoding", "quality", "bytes", "reference_bytes", "size_ratio", "error")
        )
        record = {"image": str(one.path), **record}
        try:
            if isinstance(found, ImageError):
                raise found
            choice, original = found
            ending = "webp" if choice.payload[8:12] == b"WEBP" else "jpg"
            output = _output(Path(arguments.output), one.name, ending, taken)
            if output.resolve() in protected:
                raise ImageError(f"{output}: would overwrite an input; name another folder with -o")
            _write(output, choice.payload, arguments.overwrite)
            record |= _described(choice, output)
            totals.update(
                done=1,
                bytes=len(choice.payload),
                reference=choice.reference_bytes or 0,
                original=original,
            )
        except ImageError as error:
            record["error"] = str(error)
        except OSError as error:
            record["error"] = f"{arguments.output}: {error.strerror or error}"
        progress.advance()
        _show_compressed(record, arguments.json)
    compared = (
        f"{percent(totals['bytes'], totals['reference'])} of quality 75 ({totals['reference']:,}), "
    )
    say(
        f"{totals['done']} of {len(inputs)} images, {totals['bytes']:,} bytes: "
        f"{compared if arguments.reference else ''}{percent(totals['bytes'], totals['original'])} "
        f"of the files as they were ({totals['original']:,})"
    )
    return 0 if totals["done"] == len(inputs) else 1


def _write(output: Path, payload: bytes, overwrite: bool) -> None:
    """Raises ImageError where another file has that name and must not be replaced."""
    if output.is_file():
        if output.read_bytes() == payload:
            return
        if not overwrite:
            raise ImageError(
                f"{printable(str(output))}: exists and differs; name another folder with -o, "
                "or replace it with --overwrite"
            )
    output.parent.mkdir(parents=True, exist_ok=True)
    files.save_atomically(output, payload)


def _output(folder: Path, name: str, ending: str, taken: set[Path]) -> Path:
    """A path in `folder` that no other image of this run has."""
    base = folder / Path(name).with_suffix("")
    candidate, number = base.with_name(f"{base.name}.{ending}"), 2
    while candidate in taken:
        candidate, number = base.with_name(f"{base.name}-{number}.{ending}"), number + 1
    taken.add(candidate)
    return candidate


def _described(choice: Choice, output: Path) -> dict[str, Any]:
    return {
        "output": str(output),
        "encoding": choice.encoding,
        "quality": choice.quality,
        "bytes": len(choice.payload),
        "reference_bytes": choice.reference_bytes,
        "size_ratio": None if choice.size_ratio is None else round(choice.size_ratio, 6),
    }


def _show_compressed(record: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print(json.dumps(record), flush=True)
    elif record["error"] is None:
        ratio = percent(record["bytes"], record["reference_bytes"] or 0)
        print(
            f"{printable(record['image']):<40} {record['encoding']:>10} "
            f"{record['bytes']:>9} {ratio:>13}",
            flush=True,
        )
    if record["error"] is not None:
        say(f"adacompress: {record['error']}")
