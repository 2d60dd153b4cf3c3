"""`adacompress label`: upload every encoding of every image once."""

from __future__ import annotations

import argparse
import json
import os
import signal
import threading
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import ExitStack, closing
from multiprocessing import parent_process

from ..imaging.encoding import TEN_LEVELS, Encoding
from ..running.labelling import Labelling
from ..services import ServiceError
from .common import check_output, encodings, say, stop_signal
from .progress import Progress


def main(arguments: argparse.Namespace) -> int:
    """Upload every encoding of every image once."""
    check_output(arguments.output)
    opened = Labelling(
        arguments.images,
        arguments.service,
        _encodings(arguments),
        arguments.output,
        arguments.pixel_limit,
        arguments.extractor,
        record=arguments.record,
        deadline=arguments.timeout,
        rate=arguments.rate and arguments.rate / arguments.workers,  # each process has its own
    )
    with closing(opened) as work:
        return _label(work, arguments)


def _label(work: Labelling, arguments: argparse.Namespace) -> int:
    if work.done_before:
        say(f"{work.done_before} images were done before")
    progress = Progress("label", len(work.left), arguments.quiet)
    with stop_signal(patience=0) as stop, ExitStack() as stack:  # what is asked is paid for
        executor: Executor | None = None
        if arguments.workers > 1 and len(work.left) > 1:
            executor = stack.enter_context(
                ProcessPoolExecutor(arguments.workers, initializer=_start_worker)
            )
        try:
            work.run(executor, progress.advance, lambda: stop.signal)
        except (ServiceError, OSError):
            say(f"adacompress: {len(work.rows)} images are kept; run the same command to go on")
            raise
        except KeyboardInterrupt:  # not to wait for the workers, which end with us
            say("adacompress: stopped at once; what was asked then is asked again another time")
            os._exit(128 + stop.signal)
        if stop.signal and set(work.left) - work.rows.keys() - work.failed.keys():
            say(f"adacompress: stopped; {len(work.rows)} images are kept, run it again to go on")
            return 128 + stop.signal
    for reason in work.failed.values():
        say(f"adacompress: {reason}")
    table = work.finish()
    images, names = len(table.images), [encoding.name for encoding in table.source.encodings]
    if arguments.json:
        report = {"table": arguments.output, "images": images, "encodings": names}
        print(json.dumps({**report, "service": table.source.service, "failed": work.failed}))
    else:
        print(f"{arguments.output}: {images} images, {len(names)} encodings")
    return 1 if work.failed else 0


def _encodings(arguments: argparse.Namespace) -> tuple[Encoding, ...]:
    """The preset's or those named; all ten levels for a preset that has some, for others too."""
    wanted = encodings(arguments)
    has_levels = not arguments.encodings and set(wanted) <= set(TEN_LEVELS)
    return TEN_LEVELS if has_levels else wanted


def _start_worker() -> None:
    """In worker processes: Ctrl-C is the parent's to handle, and they end when it does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def end_with_parent() -> None:  # one that is killed cannot stop them
        if parent := parent_process():
            parent.join()
        os._exit(1)

    threading.Thread(target=end_with_parent, daemon=True).start()
