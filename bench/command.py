"""What all benches have as commands: a parser, reports as JSON, and rooms that run them in turn."""

from __future__ import annotations

import argparse
import ast
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

DATA = Path(os.environ.get("ADACOMPRESS_BENCH_DATA", "../shared/data"))  # photographs
PHOTOGRAPHS = Path(__file__).resolve().parents[1] / "tests" / "photos"  # that the project ships
GOLDEN = Path(os.environ.get("ADACOMPRESS_TEST_DATA", "../shared")) / "golden"  # recorded


def parser(
    name: str, docstring: str | None, data: bool = False, as_json: bool = True
) -> argparse.ArgumentParser:
    """Of the command `name`; all benches in rooms but the tour take --json."""
    made = argparse.ArgumentParser(prog=f"python -m {name}", description=first_line(docstring))
    if as_json:
        made.add_argument("--json", action="store_true", help="print JSON, a document on one line")
    if data:
        made.add_argument(
            "--data", type=Path, default=DATA, metavar="DIR", help=f"photographs, default {DATA}"
        )
    return made


def first_line(docstring: str | None) -> str:
    return (docstring or "").partition("\n")[0]


def reported(
    name: str,
    docstring: str | None,
    measure: Callable[..., dict[str, Any]],
    arguments: list[str] | None,
    **defaults: float,
) -> dict[str, Any]:
    """What `measure` returns, printed too: JSON, on one line or on several.

    Its arguments are options, by default these numbers.
    """
    command = parser(name, docstring)
    for option, default in defaults.items():
        flag, about_it = f"--{option.replace('_', '-')}", f"default: {default}"
        command.add_argument(flag, type=type(default), default=default, metavar="N", help=about_it)
    options = vars(command.parse_args(arguments))
    indent = None if options.pop("json") else 1
    report = measure(**options)
    print(json.dumps(report, indent=indent))
    return report


def about(name: str) -> str:
    """The first line of a module's docstring; the module is not run."""
    spec = importlib.util.find_spec(name)
    assert spec and spec.origin
    return first_line(ast.get_docstring(ast.parse(Path(spec.origin).read_text("utf-8"))))


def room(
    package: str,
    names: tuple[str, ...],
    arguments: list[str] | None = None,
    as_json: bool = True,
) -> int:
    """Run benches of a package one after another, each with its defaults.

    Each has a process of its own, as if it were called alone. The exit status is their highest.
    `as_json`: whether its benches take --json.
    """
    listed = "\n".join(f"  {name:<16}{about(f'{package}.{name}')}" for name in names)
    command = argparse.ArgumentParser(
        prog=f"python -m {package}",
        description=about(package),
        epilog=f"benches:\n{listed}\n\npython -m {package}.NAME --help has the options of one.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("names", nargs="*", metavar="NAME", help="by default all, in this order")
    if as_json:
        command.add_argument("--json", action="store_true", help="JSON Lines, a document for each")
    options = command.parse_args(arguments)
    for name in options.names:
        if name not in names:
            command.error(f"{name}: must be one of {', '.join(names)}")
    flags = ["--json"] if as_json and options.json else []
    statuses = []
    for name in options.names or names:
        print(f"{package}.{name}", file=sys.stderr, flush=True)
        done = subprocess.run([sys.executable, "-m", f"{package}.{name}", *flags], check=False)
        statuses.append(done.returncode)
    return max(map(abs, statuses))
