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
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from .. import artifacts, files
from ..config import DEFAULT_PRESET, Config, Encoding, preset
from ..files import ImageError, printable
from ..pilot import AdaCompress
from ..services import Service, ServiceError, open_service

# What a command may raise for unusable input, to be shown in one line.
EXPECTED = (ValueError, ServiceError, OSError)


def say(text: str) -> None:
    """A message for people."""
    print(text, file=sys.stderr, flush=True)


def say_of(image: str, trouble: object) -> None:
    """A message about an image, which names it."""
    name, text = printable(image), str(trouble)
    say(f"adacompress: {text if text.startswith(name) else f'{name}: {text}'}")


def percent(part: float, whole: float) -> str:
    """`part` of `whole` in percent, or a dash where there is no whole."""
    return f"{100 * part / whole:.1f}%" if whole else "-"


def encodings(arguments: argparse.Namespace) -> tuple[Encoding, ...]:
    """Those named, or the preset's."""
    if not arguments.encodings:
        return preset(arguments.preset).encodings
    named = tuple(Encoding.parse(name) for name in arguments.encodings.split(","))
    if len(set(named)) != len(named):
        raise ValueError("--encodings: each may be named once")
    return named


def agent_path(arguments: argparse.Namespace) -> Path:
    """The agent named, or the shipped one of the preset. Raises ArtifactError."""
    return artifacts.find(f"agent-{arguments.preset or DEFAULT_PRESET}.npz", arguments.agent)


def check_preset(arguments: argparse.Namespace, config: Config) -> None:
    """Raises ValueError where the agent opened is not of the preset asked for."""
    if arguments.preset not in (None, config.preset):
        raise ValueError(
            f"{arguments.agent}: an agent of preset {config.preset}; leave --preset out"
        )


def open_pilot(
    arguments: argparse.Namespace, seed: int = 0, threads: int | None = None
) -> AdaCompress:
    """With the agent named, or the shipped one of the preset."""
    path = agent_path(arguments)
    goal = getattr(arguments, "agreement", None)
    wanted = {"alpha": arguments.alpha, "agreement": goal}
    models = {"agent": path, "extractor": arguments.extractor}
    pilot = AdaCompress.load(**models, seed=seed, threads=threads, **wanted)
    check_preset(arguments, pilot.config)
    return pilot


def open_named_service(arguments: argparse.Namespace) -> Service:
    """The service named, as its options say. Raises what `open_service` does."""
    return open_service(
        arguments.service,
        deadline=arguments.timeout,
        rate=arguments.rate,
        record=arguments.record,
    )


class Input(NamedTuple):
    """One image named, or found in a folder named; or a folder that cannot be used, and why."""

    path: Path
    name: str  # below the folder
    error: ImageError | None = None


def find_inputs(named: list[str], output: Path | None = None) -> list[Input]:
    """Files, and the images of folders; an output folder within a folder is no input.

    Raises ImageError where there is nothing but folders that cannot be used.
    """
    inputs: list[Input] = []
    for one in map(Path, named):
        if not one.is_dir():
            inputs.append(Input(one, one.name))
            continue
        try:
            found = [Input(one / name, name) for name in files.find(one)]
        except ImageError as error:
            found = [Input(one, one.name, error)]
        own = output.resolve() if output else None
        if own and one.resolve() in own.parents:
            found = [each for each in found if own not in each.path.resolve().parents]
        inputs += found
    errors = [each.error for each in inputs if each.error]
    if errors and len(errors) == len(inputs):
        raise errors[0]
    return inputs


def check_output(path: str, inputs: Iterable[Path] = ()) -> None:
    """Before the work, not after it: raises ValueError where a file cannot be written there."""
    at, shown = Path(path), printable(path)
    if at.is_dir():
        raise ValueError(f"{shown}: a folder; name a file with -o")
    if not at.parent.is_dir():
        raise ValueError(f"{shown}: there is no such folder; make it, or name another with -o")
    if at.resolve() in {each.resolve() for each in inputs}:
        raise ValueError(f"{shown}: would overwrite an input; name another file with -o")
    try:
        tempfile.TemporaryFile(dir=at.parent).close()
    except OSError as error:
        raise ValueError(f"{shown}: its folder cannot be written ({error.strerror})") from error


def read_names(path: str) -> list[str]:
    """The image names in a file, one a line. Raises ValueError."""
    try:
        lines = Path(path).read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: cannot be read as a list of image names ({error})") from error
    return [line.strip() for line in lines if line.strip()]


@dataclass
class Stop:
    """Whether a signal has asked to stop, and which."""

    signal: int = 0  # that asked to stop


@contextmanager
def stop_signal() -> Iterator[Stop]:
    """Within, Ctrl-C or SIGTERM asks to stop after the work at hand; another stops at once."""
    stop = Stop()

    def note(number: int, _: object) -> None:
        stop.signal = number
        os.write(2, b"stopping after the work at hand; once more to stop at once\n")
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)

    before = {each: signal.signal(each, note) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
