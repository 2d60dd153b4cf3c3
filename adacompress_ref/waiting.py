"""Images that wait on disk until the service answers again, first in, first out."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from .files import save_atomically


class Waiting(NamedTuple):
    """One of them: its place in the queue, what it is called, and its file as it was."""

    path: Path
    name: str
    file: bytes


class Queue:
    """The folder `path`, made when the first image comes. Methods raise OSError.

    An image appears whole or not at all, and stays until it is removed, so it is kept through any
    stop. A file of the queue is a line of JSON, the name, and the image's own bytes.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)

    def _places(self) -> list[Path]:
        return sorted(self.path.glob("[0-9]*.image"))

    def __len__(self) -> int:
        return len(self._places())

    def __iter__(self) -> Iterator[Waiting]:
        for path in self._places():
            name, _, file = path.read_bytes().partition(b"\n")
            yield Waiting(path, json.loads(name), file)

    def put(self, name: str, file: bytes) -> None:
        """Add an image at the end."""
        self.path.mkdir(parents=True, exist_ok=True)
        last = max((int(path.stem) for path in self._places()), default=0)
        save_atomically(
            self.path / f"{last + 1:012}.image", json.dumps(name).encode() + b"\n" + file
        )

    def remove(self, waiting: Waiting) -> None:
        """It has been answered, or can never be."""
        waiting.path.unlink(missing_ok=True)
