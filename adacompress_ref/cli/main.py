"""The command line: call a command, errors in one line.

Exit status: 0 done, 1 some inputs failed or wait, the others are done, 2 unusable arguments or
files, 130 stopped by Ctrl-C, 141 the reader of our output is gone, 143 `run` or `serve` stopped by
SIGTERM.
"""

from __future__ import annotations

import argparse
import errno
import io
import os
import signal
import sys
from collections.abc import Sequence
from concurrent.futures import BrokenExecutor
from importlib import import_module
from threading import current_thread, main_thread
from types import ModuleType

from .arguments import parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return the exit status."""
    _mend_streams()
    try:
        try:
            return _main(arguments)
        finally:
            sys.stdout.flush()  # here, where it may fail
    except KeyboardInterrupt:
        print("\nadacompress: stopped", file=sys.stderr)
        return 130
    except OSError as error:  # of standard output
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # not again at exit
        if isinstance(error, BrokenPipeError):  # the reader is gone, as with `| head`
            return 141
        print(f"adacompress: standard output: {error.strerror}", file=sys.stderr)
        return 2


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
    # after parsing, so that --help is quick
    commands, module = _load("common"), _load(options.command)
    try:
        return module.main(options)
    except BrokenExecutor:
        print("adacompress: a worker process died; run again to go on", file=sys.stderr)
        return 1
    except commands.EXPECTED as error:
        text = str(error)
        if isinstance(error, OSError) and error.filename:
            text = f"{error.filename}: {error.strerror}"
        elif isinstance(error, OSError) and error.errno in (errno.EPIPE, errno.ENOSPC):
            raise  # of standard output: errors of files name them
        print(f"adacompress: {commands.printable(text)}", file=sys.stderr)
        return 2


def _contradiction(options: argparse.Namespace) -> str | None:
    """What is wrong with options that are right one by one."""
    command = options.command
    for name, value in vars(options).items():  # as "$DIR" is where DIR is not set
        if value == "" or (isinstance(value, list) and "" in value):
            return f"{name.replace('_', '-')} is empty; name one, or leave it out"
    if command == "compress" and not (options.images or options.files_from):
        return "name an IMAGE, or a list of them with --files-from"
    if command == "compress" and [*options.images, options.files_from].count("-") > 1:
        return "standard input can be read once, leave out the other -"
    if command == "compress" and options.json and options.csv:
        return "--csv or --json, not both"
    if command == "label" and options.scheduler and options.record:
        return "--record is for one machine, leave it out with --scheduler"
    if command == "train" and bool(options.images) != bool(options.service):
        return "--images and --service go together"
    if command == "train" and options.table and options.encodings:
        return "--table has its own encodings, leave out --encodings"
    if command == "train" and options.table and options.extractor:
        return "--table has its extractor's states already, leave out --extractor"
    if command == "train" and options.test_share in (0, 1):
        return "--test-share leaves none to test on, or none to train on"
    if command == "run" and options.alpha and options.agreement:
        return "--agreement sets alpha, leave out --alpha"
    if command == "run" and options.untrained and options.agent:
        return "--untrained begins with a new agent, leave out --agent"
    named = command == "report" and (options.agent or options.preset or options.extractor)
    if named and not options.images:
        return "--agent, --preset and --extractor draw heat maps on photographs, name --images too"
    if command == "weights" and options.name and options.action != "fetch":
        return "only fetch takes a name"
    return None


def _load(name: str) -> ModuleType:
    """A module of this package. Ctrl-C waits for it, as packages may report it as ImportError."""
    if current_thread() is not main_thread():  # no signals there
        return import_module(f".{name}", __package__)
    asked: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: asked.append(number))
    try:
        return import_module(f".{name}", __package__)
    finally:
        signal.signal(signal.SIGINT, before)
        if asked:
            raise KeyboardInterrupt
