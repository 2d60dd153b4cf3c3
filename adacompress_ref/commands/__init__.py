"""The commands, one file each, and what several of them need.

Data go to standard output, all else to standard error.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ..config import Encoding, preset
from ..pilot import AdaCompress
from ..services import ServiceError

# What a command may raise for unusable input, to be shown in one line.
EXPECTED = (ValueError, ServiceError, OSError)


def say(text: str) -> None:
    """A message for people."""
    print(text, file=sys.stderr, flush=True)


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


def open_pilot(arguments: argparse.Namespace) -> AdaCompress:
    """With the agent named, or the shipped one of the preset."""
    return AdaCompress.load(arguments.preset, agent=arguments.agent, seed=arguments.seed)


def read_names(path: str) -> list[str]:
    """The image names in a file, one a line. Raises ValueError."""
    try:
        lines = Path(path).read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: cannot be read as a list of image names ({error})") from error
    return [line.strip() for line in lines if line.strip()]
