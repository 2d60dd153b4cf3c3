"""`adacompress label`: upload every encoding of every image once."""

from __future__ import annotations

import argparse
import json
import signal
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack

from ..labelling import Labelling
from ..progress import Progress
from . import encodings, say


def main(arguments: argparse.Namespace) -> int:
    """Upload every encoding of every image once."""
    work = Labelling(
        arguments.images,
        arguments.service,
        encodings(arguments),
        arguments.output,
        arguments.pixel_limit,
    )
    if work.done_before:
        say(f"{work.done_before} images were done before")
    progress = Progress("label", len(work.left), arguments.quiet)
    with ExitStack() as stack:
        executor = None
        if arguments.workers > 1 and len(work.left) > 1:
            executor = stack.enter_context(
                ProcessPoolExecutor(arguments.workers, initializer=_ignore_interrupts)
            )
        work.run(executor, progress.advance)
    for reason in work.failed.values():
        say(f"adacompress: {reason}")
    table = work.finish()
    report = {
        "table": arguments.output,
        "images": len(table.images),
        "encodings": [encoding.name for encoding in table.source.encodings],
        "service": table.source.service,
        "failed": work.failed,
    }
    if arguments.json:
        print(json.dumps(report))
    else:
        print(
            f"{arguments.output}: {report['images']} images, {len(report['encodings'])} encodings"
        )
    return 1 if work.failed else 0


def _ignore_interrupts() -> None:
    """In worker processes: Ctrl-C is the parent's to handle."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
