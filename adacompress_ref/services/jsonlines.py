"""Files of JSON Lines that only grow: each line is whole or absent, whenever the writer stops."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..storage.arrays import sync_folder


def append_line(path: Path, entry: dict[str, Any]) -> None:
    """Add a line in one write, as others may add to the file too; it is on disk on return.

    Raises OSError naming `path`, as where the disk is full; then nothing was added.
    """
    data, new = json.dumps(entry).encode() + b"\n", not path.exists()
    with open(path, "ab", buffering=0) as file:
        size = file.tell()
        try:
            if file.write(data) < len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(file.fileno())
        except OSError as error:
            file.truncate(size)
            raise OSError(error.errno, error.strerror, str(path)) from error
    if new:
        sync_folder(str(path.parent))


def read_lines(
    path: Path, check: Callable[[dict[str, Any]], None] = lambda entry: None
) -> list[dict[str, Any]]:
    """The whole lines of a file; none if there is no file. What a stop left behind is passed over.

    Raises ValueError naming a line that is no JSON object, or for which `check` raises it.
    """
    entries = []
    for number, line in enumerate(path.read_bytes().split(b"\n")[:-1] if path.exists() else [], 1):
        if not _is_whole(line):
            raise ValueError(f"line {number} is no JSON object")
        entries.append(json.loads(line))
        try:
            check(entries[-1])
        except ValueError as error:
            raise ValueError(f"line {number}: {error}") from error
    return entries


def mend(path: Path, lines: int | None = None) -> None:
    """Make every line whole: what a stop has left of one goes, as do those after the first `lines`.

    Raises OSError.
    """
    data = path.read_bytes() if path.exists() else b""
    *whole, rest = data.split(b"\n")
    if lines is None and _is_whole(rest):  # an editor took the end of the last line
        with open(path, "ab") as file:
            file.write(b"\n")
    elif (size := sum(len(line) + 1 for line in whole[:lines])) < len(data):
        os.truncate(path, size)


def _is_whole(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False
