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
    path: Path, check: Callable[[dict[str, Any]], None] = lambda entry: None, start: int = 0
) -> list[dict[str, Any]]:
    """The whole lines of a file; none if there is no file. What a stop left behind is passed over.

    `start` is the byte to begin at. Raises ValueError naming a line from there on that is no JSON
    object, or for which `check` raises it.
    """
    entries, data = [], b""
    if path.exists():
        with open(path, "rb") as file:
            file.seek(start)
            data = file.read()
    for number, line in enumerate(data.split(b"\n")[:-1], 1):
        if not _is_whole(line):
            raise ValueError(f"line {number} is no JSON object")
        entries.append(json.loads(line))
        try:
            check(entries[-1])
        except ValueError as error:
            raise ValueError(f"line {number}: {error}") from error
    return entries


def mend(path: Path) -> None:
    """Make the last line whole: what a stop has left of one goes. Raises OSError."""
    if not path.exists():
        return
    with open(path, "r+b") as file:
        size = file.seek(0, os.SEEK_END)
        rest, length = b"", 2**15
        while b"\n" not in rest and len(rest) < size:  # no more of it than that is read
            length = min(2 * length, size)
            file.seek(size - length)
            rest = file.read(length)
        rest = rest[rest.rfind(b"\n") + 1 :]
        if rest and _is_whole(rest):  # an editor took the end of the last line
            file.write(b"\n")
        else:
            file.truncate(size - len(rest))


def _is_whole(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False
