"""Images that wait on disk until the service answers again, first in, first out."""

from __future__ import annotations

import json
import os
import re
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple, TypeVar

from ..services import NoAnswerError, RefusedError
from ..storage.arrays import PARTIAL, sync_folder
from ..storage.files import ImageError, save_atomically

T = TypeVar("T")
Ended = ImageError | RefusedError

_PLACE = re.compile(r"(\d{12})-[0-9a-f]{8}\.image")
_OLD = 3600.0  # seconds, for a partial file that nobody can be writing any more


class Waiting(NamedTuple):
    """One of them: its place in the queue, what it is called, and its file as it was."""

    path: Path
    name: str
    file: bytes


class Queue:
    """The folder `path`, made when the first image comes. Methods raise OSError.

    An image appears whole or not at all, and stays until it is removed, so it is kept through any
    stop. Several processes may put, one should send. A file of the queue is a line of JSON, the
    name, and the image's own bytes; others in the folder are left alone.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._number, self._changed = 0, -1  # of the latest one put; the folder after that
        self._unanswered: Path | None = None  # the latest that had no answer
        for left_over in self.path.glob(f".*{PARTIAL}"):
            if time.time() - left_over.stat().st_mtime > _OLD:
                left_over.unlink()

    def _places(self) -> list[Path]:
        return sorted(path for path in self.path.glob("*.image") if _PLACE.fullmatch(path.name))

    def __len__(self) -> int:
        return len(self._places())

    def __bool__(self) -> bool:
        try:
            return any(_PLACE.fullmatch(entry.name) for entry in os.scandir(self.path))
        except FileNotFoundError:
            return False

    def __iter__(self) -> Iterator[Waiting]:
        for path in self._places():
            content = path.read_bytes()
            first, _, file = content.partition(b"\n")
            try:
                yield Waiting(path, str(json.loads(first)), file)
            except (ValueError, RecursionError):  # not ours: it will be refused as an image
                yield Waiting(path, path.name, content)

    def put(self, name: str, file: bytes) -> None:
        """Add an image at the end."""
        if not self.path.exists():
            self.path.mkdir(parents=True, exist_ok=True)
            sync_folder(str(self.path.parent))
        if self.path.stat().st_mtime_ns != self._changed:
            self._number = max((int(path.name[:12]) for path in self._places()), default=0)
        self._number += 1
        # the second part keeps images apart that two processes put at the same time
        place = self.path / f"{self._number:012}-{uuid.uuid4().hex[:8]}.image"
        save_atomically(place, json.dumps(name).encode() + b"\n" + file)
        self._changed = self.path.stat().st_mtime_ns

    def remove(self, waiting: Waiting) -> None:
        """It has been answered, or can never be."""
        waiting.path.unlink(missing_ok=True)

    def send(self, send: Callable[[Waiting], T]) -> Iterator[tuple[str, T | Ended]]:
        """What `send` makes of each, or what ends it, as `AdaCompress.send_waiting` says."""
        stuck: NoAnswerError | None = None
        for waiting in self:
            result: T | Ended
            try:
                result = send(waiting)
            except (ImageError, RefusedError) as error:
                result = error
            except NoAnswerError as error:
                if waiting.path != self._unanswered:
                    self._unanswered = waiting.path
                    raise
                stuck = error
                continue
            yield waiting.name, result
            self.remove(waiting)
        if stuck:
            raise stuck
