"""`adacompress explain`: Grad-CAM, which regions decided the level."""

from __future__ import annotations

import argparse
import io
import json
from pathlib import Path
from typing import Any

from ..core.config import Config
from ..imaging import read as images
from ..report.heatmaps import explain, sheet
from ..storage.files import ImageError, printable
from .common import check_output, find_inputs, on_standard_output, open_pilot, say, write_output
from .progress import Progress


def main(arguments: argparse.Namespace) -> int:
    """Explain each image; one picture of all."""
    output = Path(arguments.output)
    to_standard_output = on_standard_output(arguments)
    if output.suffix.lower() != ".png" and not to_standard_output:
        shown = printable(str(output))
        raise ValueError(f"{shown}: the picture is a PNG; name a file that ends in .png with -o")
    inputs = find_inputs(arguments.images)
    if not to_standard_output:
        check_output(arguments.output, [each.path for each in inputs])
    pilot = open_pilot(arguments)
    action = _action(arguments.level, pilot.config)
    progress = Progress("explain", len(inputs), arguments.quiet or not arguments.json)
    explanations = []
    for path, _, unusable in inputs:
        record: dict[str, Any] = dict.fromkeys(("encoding", "chosen", "q_value", "heat", "error"))
        record = {"image": str(path), **record}
        try:
            if unusable:
                raise unusable
            photo = images.read(path, pixel_limit=arguments.pixel_limit)
            one = explain(pilot, photo, action)
            explanations.append(one)
            record |= {
                "encoding": one.encoding,
                "chosen": one.chosen,
                "q_value": one.q_value,
                "heat": one.heat.tolist(),
            }
        except ImageError as error:
            record["error"] = str(error)
        progress.clear()
        if record["error"]:
            say(f"adacompress: {record['error']}")
        if arguments.json:
            print(json.dumps(record), flush=True)
        elif not record["error"] and not to_standard_output:
            print(f"{printable(str(path)):<40} {record['encoding']:>10} {record['q_value']:>8.3f}")
        progress.advance()
    if explanations:
        stream = io.BytesIO()
        sheet(explanations).save(stream, "PNG")
        write_output(arguments.output, stream.getvalue())
    say(f"{len(explanations)} of {len(inputs)} images explained")
    return 0 if len(explanations) == len(inputs) else 1


def _action(level: str | None, config: Config) -> int | None:
    """The one encoding of that name or quality; None for the chosen one. Raises ValueError."""
    if level is None:
        return None
    encodings = config.encodings
    found = [n for n, one in enumerate(encodings) if level in (one.name, str(one.quality))]
    if len(found) != 1:
        names = ", ".join(one.name for one in encodings)
        raise ValueError(f"--level {printable(level)}: must be one of {names}")
    return found[0]
