"""`adacompress explain`: Grad-CAM, which regions decided the level."""

from __future__ import annotations

import argparse
import io
import json
from pathlib import Path
from typing import Any

from .. import images
from ..config import Config
from ..explain import explain, sheet
from ..images import ImageError, printable
from ..pilot import AdaCompress
from ..progress import Progress
from . import say


def main(arguments: argparse.Namespace) -> int:
    """Explain each image; one picture of all."""
    inputs = _inputs(arguments.images)
    output = Path(arguments.output)
    _check(output, inputs)
    pilot = AdaCompress.load(arguments.preset, agent=arguments.agent)
    action = _action(arguments.level, pilot.config)
    progress = Progress("explain", len(inputs), arguments.quiet or not arguments.json)
    explanations = []
    for path in inputs:
        record: dict[str, Any] = dict.fromkeys(("encoding", "chosen", "q_value", "heat", "error"))
        record = {"image": str(path), **record}
        try:
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
            say(f"adacompress: {error}")
        progress.advance()
        if arguments.json:
            print(json.dumps(record), flush=True)
        elif not record["error"]:
            print(f"{printable(str(path)):<40} {record['encoding']:>10} {record['q_value']:>8.3f}")
    if explanations:
        stream = io.BytesIO()
        sheet(explanations).save(stream, "PNG")
        images.save_atomically(output, stream.getvalue())
    say(f"{len(explanations)} of {len(inputs)} images explained")
    return 0 if len(explanations) == len(inputs) else 1


def _inputs(names: list[str]) -> list[Path]:
    """The images; folders are searched."""
    inputs: list[Path] = []
    for name in names:
        at = Path(name)
        inputs += [at / found for found in images.find(at)] if at.is_dir() else [at]
    return inputs


def _check(output: Path, inputs: list[Path]) -> None:
    """Raises ValueError where the picture cannot be written there."""
    shown = printable(str(output))
    if output.suffix.lower() != ".png":
        raise ValueError(f"{shown}: the picture is a PNG; name a file that ends in .png with -o")
    if not output.parent.is_dir() or output.is_dir():
        raise ValueError(f"{shown}: not a file in a folder that exists; name another with -o")
    if output.resolve() in {path.resolve() for path in inputs}:
        raise ValueError(f"{shown}: would overwrite an input; name another file with -o")


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
