"""The commands, one file each, and what several of them need.

Data go to standard output, all else to standard error.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import BinaryIO, NamedTuple

from .. import agents
from ..core.config import BaseConfig
from ..imaging.encoding import Encoding, parse_all
from ..running.folder import find
from ..running.pilot import AdaCompress
from ..services import Service, ServiceError, open_service
from ..storage import files
from ..storage.files import ImageError, printable, reason
from ..tables.table import Table, TableError

# What a command may raise for unusable input, to be shown in one line.
EXPECTED = (ValueError, ServiceError, OSError)


def say(text: str) -> None:
    """A message for people."""
    print(text, file=sys.stderr, flush=True)


def about(image: str, trouble: object) -> str:
    """What is wrong with an image, which is named."""
    name, text = printable(image), str(trouble)
    return text if text.startswith(name) else f"{name}: {text}"


def say_of(image: str, trouble: object) -> None:
    """A message about an image, which names it."""
    say(f"adacompress: {about(image, trouble)}")


def percent(part: float, whole: float) -> str:
    """`part` of `whole` in percent, or a dash where there is no whole."""
    return f"{100 * part / whole:.1f}%" if whole else "-"


def encodings(arguments: argparse.Namespace) -> tuple[Encoding, ...]:
    """Those named, or the preset's."""
    if not arguments.encodings:
        return parse_all(agents.preset(arguments.preset).encodings)
    named = tuple(Encoding.parse(name) for name in arguments.encodings.split(","))
    if len(set(named)) != len(named):
        raise ValueError("--encodings: each may be named once")
    return named


def check_preset(arguments: argparse.Namespace, config: BaseConfig) -> None:
    """Raises ValueError where the agent opened is not of the preset asked for."""
    if arguments.preset not in (None, config.preset):
        raise ValueError(
            f"{arguments.agent}: an agent of preset {config.preset}; leave --preset out"
        )


def load_table(path: str, config: BaseConfig) -> Table:
    """A table that has the sizes of what an agent of `config` sends. Raises TableError."""
    table = Table.load(path)
    try:
        table.sizes(agents.view_of(config).own_tables)
    except TableError as error:
        raise TableError(f"{path}: {error}") from error
    return table


def open_pilot(
    arguments: argparse.Namespace, seed: int = 0, threads: int | None = None
) -> AdaCompress:
    """With the agent named, or the shipped one of the preset."""
    pilot = AdaCompress.load(
        arguments.preset or agents.DEFAULT_PRESET,
        agent=arguments.agent,
        extractor=arguments.extractor,
        seed=seed,
        threads=threads,
        alpha=arguments.alpha,
        agreement=getattr(arguments, "agreement", None),
        confidence=getattr(arguments, "confidence", None),
    )
    check_preset(arguments, pilot.config)
    return pilot


def open_named_service(arguments: argparse.Namespace) -> Service:
    """The service named, as its options say. Raises what `open_service` does."""
    options = {"deadline": arguments.timeout, "rate": arguments.rate, "tries": arguments.tries}
    return open_service(arguments.service, record=arguments.record, **options)


class Input(NamedTuple):
    """One image named, or found in a folder named; or a folder that cannot be used, and why."""

    path: Path
    name: str  # below the folder
    error: ImageError | None = None
    piped: BinaryIO | None = None  # standard input

    @property
    def shown(self) -> str:
        """Its name in messages."""
        return printable(str(self.path))


def real(path: Path) -> Path:
    """Without links. Unlike `Path.resolve`, it takes one that leads to itself."""
    return Path(os.path.realpath(path))


def find_inputs(named: list[str], output: Path | None = None) -> list[Input]:
    """Files, and the images of folders; an output folder within a folder is no input.

    Raises ImageError where there is nothing but folders that cannot be used.
    """
    inputs: list[Input] = []
    for place in map(Path, named):
        if not os.path.isdir(place):  # False, too, for a name that no file can have
            inputs.append(Input(place, place.name))
            continue
        try:
            within = [Input(place / name, name) for name in find(place, say)]
        except ImageError as error:
            within = [Input(place, place.name, error)]
        own = output and real(output)
        if own and real(place) in own.parents:
            within = [image for image in within if own not in real(image.path).parents]
        inputs += within
    errors = [image.error for image in inputs if image.error]
    if errors and len(errors) == len(inputs):
        raise errors[0]
    return inputs


def check_output(path: str, inputs: Iterable[Path] = (), kind: str = "") -> None:
    """Before the work, not after it: raises ValueError where a file cannot be written there.

    A name of no file of that `kind`, such as png, is refused too.
    """
    place, shown = Path(path), printable(path)
    if kind and place.suffix.lower() != f".{kind}":
        what = f"the page is {kind.upper()}; name a file that ends in .{kind}"
        raise ValueError(f"{shown}: {what} with -o")
    if place.is_dir():
        raise ValueError(f"{shown}: a folder; name a file with -o")
    if not place.parent.is_dir():
        raise ValueError(f"{shown}: there is no such folder; make it, or name another with -o")
    if real(place) in {real(image) for image in inputs}:
        raise ValueError(f"{shown}: would overwrite an input; name another file with -o")
    try:
        tempfile.TemporaryFile(dir=place.parent).close()
    except OSError as error:
        raise ValueError(f"{shown}: its folder cannot be written ({error.strerror})") from error


def standard_input(most: int = -1) -> bytes:
    """What is piped in, `most` bytes of it where that is named. Raises ValueError."""
    try:
        return sys.stdin.buffer.read(most)
    except (AttributeError, OSError) as error:  # None where it is closed
        why = reason(error) if isinstance(error, OSError) else "closed"
        raise ValueError(f"standard input: {why}; pipe or redirect a file into it") from error


def on_standard_output(arguments: argparse.Namespace) -> bool:
    """Whether -o names it. Raises ValueError where it cannot have what is to be written there."""
    if arguments.output != "-":
        return False
    if arguments.json or getattr(arguments, "csv", False):
        raise ValueError("standard output is for what is written: leave out --json and --csv")
    if sys.__stdout__ is None or sys.stdout.isatty():
        raise ValueError("standard output is closed or a terminal: redirect it, or name another -o")
    return True


def write_output(path: str, data: bytes) -> None:
    """A file, whole or not at all, or standard output. Raises OSError."""
    if path == "-":
        while data:  # with PYTHONUNBUFFERED, a full disk takes a part and says so the next time
            data = data[sys.stdout.buffer.write(data) :]
        sys.stdout.flush()
    else:
        files.save_atomically(path, data)


def read_names(path: str) -> list[str]:
    """The image names in a file, or `-`, standard input: one a line, or each ended by a zero byte.

    UTF-16 needs its byte-order mark. Otherwise any byte may be in a name. Raises ValueError.
    """
    try:
        data = standard_input() if path == "-" else Path(path).read_bytes()
        if data.startswith((b"\xff\xfe", b"\xfe\xff")):
            text = data.decode("utf-16")
        else:
            text = os.fsdecode(data.removeprefix(b"\xef\xbb\xbf"))
        names = text.split("\0") if "\0" in text else text.replace("\r\n", "\n").split("\n")
        letters = sum(len(name) == 1 for name in names)
        if "\0" in text and (text[-1] != "\0" or letters > len(names) / 3):
            raise OSError("not text, or UTF-16 without a byte-order mark; save it as UTF-8")
    except (OSError, UnicodeError) as error:
        raise ValueError(
            f"{printable(path)}: cannot be read as a list of image names ({reason(error)})"
        ) from error
    return [name for name in names if name]


@contextmanager
def stop_signal(patience: float = 2.0) -> Iterator[SimpleNamespace]:
    """Within, Ctrl-C or SIGTERM asks to stop after the work at hand; another stops at once.

    So does the end of our `patience`, in seconds, whatever is waited for; 0: there is none. The
    `signal` of what it gives is the first one, 0 before.
    """
    stop = SimpleNamespace(signal=0)

    def note(number: int, _: object) -> None:
        if stop.signal:
            raise KeyboardInterrupt(128 + stop.signal)
        stop.signal = number
        os.write(2, b"stopping after the work at hand; once more to stop at once\n")
        if hasattr(signal, "setitimer"):
            signal.setitimer(signal.ITIMER_REAL, patience)

    numbers = [signal.SIGINT, signal.SIGTERM, *([signal.SIGALRM] if os.name == "posix" else [])]
    before = {number: signal.signal(number, note) for number in numbers}
    try:
        yield stop
    finally:
        if hasattr(signal, "setitimer"):
            signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in before.items():
            signal.signal(number, handler)
