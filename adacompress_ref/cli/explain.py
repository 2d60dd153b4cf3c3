"""`adacompress explain`: Grad-CAM, which regions decided the level."""

from __future__ import annotations

import argparse
import io
import json
from typing import Any

from ..imaging import read as images
from ..imaging.encoding import Encoding
from ..report.heatmaps import explain, sheet
from ..storage.files import ImageError, printable
from .common import check_output, find_inputs, on_standard_output, open_pilot, say, write_output
from .progress import Progress


def main(arguments: argparse.Namespace) -> int:
    """Explain each image; one picture of all."""
    to_standard_output = on_standard_output(arguments)
    inputs = find_inputs(arguments.images)
    if not to_standard_output:
        check_output(arguments.output, [image.path for image in inputs], "png")
    pilot = open_pilot(arguments)
    action = _action(arguments.level, pilot.view.encodings)
    progress = Progress("explain", len(inputs), arguments.quiet or not arguments.json)
    explanations = []
    for image in inputs:
        record: dict[str, Any] = {"image": str(image.path)}
        record |= dict.fromkeys(("encoding", "chosen", "q_value", "heat", "error"))
        try:
            if image.error:
                raise image.error
            photo = images.read(image.path, pixel_limit=arguments.pixel_limit)
            explanations.append(explain(pilot, photo, action))
            for name in ("encoding", "chosen", "q_value"):
                record[name] = getattr(explanations[-1], name)
            record["heat"] = explanations[-1].heat.tolist()
        except ImageError as error:
            record["error"] = str(error)
        progress.clear()
        if record["error"]:
            say(f"adacompress: {record['error']}")
        if arguments.json:
            print(json.dumps(record), flush=True)
        elif not record["error"] and not to_standard_output:
            shown = printable(record["image"])
            print(f"{shown:<40} {record['encoding']:>10} {record['q_value']:>8.3f}")
        progress.advance()
    if explanations:
        stream = io.BytesIO()
        sheet(explanations).save(stream, "PNG")
        write_output(arguments.output, stream.getvalue())
    place = f": {printable(arguments.output)}" if explanations and not to_standard_output else ""
    say(f"{len(explanations)} of {len(inputs)} images explained{place}")
    return 0 if len(explanations) == len(inputs) else 1


def _action(level: str | None, encodings: tuple[Encoding, ...]) -> int | None:
    """The one encoding of that name or quality; None for the chosen one. Raises ValueError."""
    if level is None:
        return None
    names = [encoding.name for encoding in encodings]
    qualities = [str(encoding.quality) for encoding in encodings]
    for words in (names, qualities):
        if words.count(level) == 1:
            return words.index(level)
    raise ValueError(f"--level {printable(level)}: must be one of {', '.join(names)}")
