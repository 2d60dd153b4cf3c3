"""The command line: call a command, errors in one line.

Exit status: 0 done, 1 some inputs failed or wait, the others are done, 2 unusable arguments or
files, 130 stopped by Ctrl-C, 141 the reader of our output is gone, 143 stopped by SIGTERM.
"""

from __future__ import annotations

import argparse
import errno
import io
import os
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import BrokenExecutor
from threading import current_thread, main_thread

from .arguments import parser

_Command = Callable[[argparse.Namespace], int]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return the exit status."""
    has_signals = current_thread() is main_thread()
    if has_signals:  # now, as process 1 ignores what has no handler
        before = signal.signal(signal.SIGTERM, _end)
    _mend_streams()
    try:
        try:
            return _main(arguments)
        finally:
            sys.stdout.flush()  # here, where it may fail
    except KeyboardInterrupt as stop:
        print("\nadacompress: stopped", file=sys.stderr)
        return int(stop.args[0]) if stop.args else 130
    except OSError as error:  # of standard output
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # not again at exit
        if isinstance(error, BrokenPipeError):  # the reader is gone, as with `| head`
            return 141
        print(f"adacompress: standard output: {error.strerror}", file=sys.stderr)
        return 2
    finally:
        if has_signals:
            signal.signal(signal.SIGTERM, before)


def _mend_streams() -> None:
    """None may be missing, as after `>&-`, or fail at a letter that it cannot encode."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _main(arguments: Sequence[str] | None) -> int:
    top = parser()
    options = top.parse_args(arguments)
    if fault := _contradiction(options):
        top.error(f"{options.command}: {fault}")
    command = _command(options.command)
    from ..services import WITH_NAMES
    from . import common  # after parsing, so that --help is quick

    if getattr(options, "model", None):
        options.service += f":{options.model}"  # two models are two services
    kind, colon, _ = str(getattr(options, "service", "")).partition(":")
    if colon and kind not in WITH_NAMES:
        sys.path.insert(0, os.path.abspath(options.app_dir))
    try:
        return command(options)
    except BrokenExecutor:
        print("adacompress: a worker process died; run again to go on", file=sys.stderr)
        return 1
    except common.EXPECTED as error:
        message = str(error)
        if isinstance(error, OSError) and error.filename:
            message = f"{error.filename}: {error.strerror}"
        elif isinstance(error, OSError) and error.errno in (errno.EPIPE, errno.ENOSPC):
            raise  # of standard output: errors of files name them
        if options.debug:
            traceback.print_exc()
        print(f"adacompress: {common.printable(message)}", file=sys.stderr)
        return 2


def _contradiction(options: argparse.Namespace) -> str | None:
    """What is wrong with options that are right one by one, as far as argparse cannot say it."""
    for name, value in vars(options).items():  # as "$DIR" is where DIR is not set
        if value == "" or (isinstance(value, list) and "" in value):
            return f"{name.replace('_', '-')} is empty; name one, or leave it out"
    if bool(getattr(options, "model", None)) != (getattr(options, "service", None) == "openai"):
        return "--service openai and --model go together"
    match options.command:
        case "compress":
            if not (options.images or options.files_from):
                return "name an IMAGE, or a list of them with --files-from"
            if [*options.images, options.files_from].count("-") > 1:
                return "standard input can be read once, leave out the other -"
        case "run":
            is_free = options.service.partition(":")[0] in ("squeezenet", "onnx", "recorded")
            if options.check and not (is_free or options.pay_for_check):
                return f"--check: {options.service} is paid for each image; add --pay-for-check"
        case "train":
            if bool(options.images) != bool(options.service):
                return "--images and --service go together"
            if options.table and (options.encodings or options.extractor):
                return "--table has its own, leave out --encodings and --extractor"
        case "report":
            if (options.agent or options.preset or options.extractor) and not options.images:
                return "--agent, --preset and --extractor draw heat maps: name --images too"
        case "weights":
            if options.name and options.action != "fetch":
                return "only fetch takes a name"
    return None


def _command(name: str) -> _Command:
    """A command, of which alone the packages are imported, as that takes longer than --help may.

    Signals wait for them, as they may report what those raise as ImportError.
    """
    if current_thread() is not main_thread():  # no signals there
        return _imported(name)
    signals: list[int] = []
    numbers = signal.SIGINT, signal.SIGTERM
    before = [signal.signal(number, lambda came, _: signals.append(came)) for number in numbers]
    try:
        return _imported(name)
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
        if signals:
            signal.raise_signal(signals[0])


def _end(number: int, _: object) -> None:
    raise KeyboardInterrupt(128 + number)


def _imported(name: str) -> _Command:
    match name:
        case "compress":
            from .compress import main
        case "label":
            from .label import main
        case "train":
            from .train import main
        case "evaluate":
            from .evaluate import main
        case "run":
            from .run import main
        case "explain":
            from .explain import main
        case "report":
            from .report import main
        case "serve":
            from .serve import main
        case "gateway":
            from .gateway import main
        case "weights":
            from .weights import main
        case "completion":
            from .completion import main
    return main
