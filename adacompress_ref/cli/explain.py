"""`adacompress explain`: Grad-CAM, which regions decided the level."""

from __future__ import annotations

import argparse
import io
import json
from typing import Any

from ..imaging import read as images
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
    progress = Progress("explain", len(inputs), arguments.quiet or not arguments.json)
    explanations = []
    for image in inputs:
        record: dict[str, Any] = {"image": str(image.path)}
        record |= dict.fromkeys(("encoding", "chosen", "q_value", "heat", "error"))
        try:
            if image.error:
                raise image.error
            photo = images.read(image.path, pixel_limit=arguments.pixel_limit)
            found = explain(pilot, photo, arguments.level)
            explanations.append(found)
            record |= {name: getattr(found, name) for name in ("encoding", "chosen", "q_value")}
            record["heat"] = found.heat.tolist()
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
