"""Answers kept in a file, so that a run can be repeated without asking, or paying, again.

The first line of the file says what the service takes; then there is one for each payload, with
its SHA-256, and its labels or why it was refused.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..controller import Label
from ..files import printable, reason
from . import formats
from .errors import RefusedError, ServiceError

_TAKES = ("formats", "max_bytes", "max_pixels", "min_side", "max_side")


def _read(path: Path) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """What the service takes, and all entries by payload.

    A last line that a stop has cut in two is left out. Raises ServiceError.
    """
    try:
        lines = path.read_bytes().split(b"\n")[:-1]
        takes, *entries = [json.loads(line) for line in lines] or [{}]
        if any(not isinstance(value, int) for name, value in takes.items() if name != _TAKES[0]):
            raise ValueError("the first line has other things than limits")
        if not all(isinstance(each, str) for each in takes.get(_TAKES[0], [])):
            raise ValueError("formats are no list of names")
        for entry in entries:
            labels = [Label(*label) for label in entry.get("labels", [])]
            if "refused" not in entry and "labels" not in entry:
                raise ValueError("a line has neither labels nor refused")
            if any(not isinstance(name, str) or not 0 <= score <= 1 for name, score in labels):
                raise ValueError("a line has labels that are none")
        return takes, {entry["sha256"]: entry for entry in entries}
    except OSError as error:
        raise ServiceError(f"{printable(str(path))}: {reason(error)}; name a recording") from error
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ServiceError(
            f"{printable(str(path))}: not a recording of answers ({reason(error)})"
        ) from error


class Recorded:
    """Answers from the file `path`. Raises ServiceError where it cannot be used."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.name = f"recorded:{path}"
        takes, self.entries = _read(Path(path))
        vars(self).update((name, takes[name]) for name in _TAKES if name in takes)

    def label(self, payload: bytes) -> list[Label]:
        """What the service said. Raises RefusedError where it refused, or was never asked."""
        entry = self.entries.get(hashlib.sha256(payload).hexdigest())
        if entry is None:
            raise RefusedError(
                f"{printable(self.name)}: has no answer for this payload of {len(payload)} bytes; "
                "record it with --record"
            )
        if "refused" in entry:
            raise RefusedError(str(entry["refused"]))
        return [Label(*label) for label in entry["labels"]]


class Recorder:
    """`service`, all of whose answers are added to the file `path`.

    Raises ServiceError where that is something else or cannot be written.
    """

    def __init__(self, service: Any, path: str | os.PathLike[str]) -> None:
        self.service, self.path = service, Path(path)
        try:
            self.path.touch()
            self.known = set(_read(self.path)[1])
            with open(self.path, "rb+") as file:
                file.truncate(file.read().rfind(b"\n") + 1)  # the start of a line cut in two
        except OSError as error:
            raise ServiceError(f"{printable(str(path))}: {reason(error)}") from error
        if not self.path.stat().st_size:
            takes = {name: getattr(service, name, None) for name in _TAKES}
            takes["formats"] = list(formats(service))
            self._write({name: value for name, value in takes.items() if value is not None})

    def __getattr__(self, name: str) -> Any:  # formats, limits and the rest
        return getattr(self.service, name)

    def label(self, payload: bytes) -> Sequence[Label]:
        """The service's answer. Raises what it does; ServiceError where it cannot be recorded."""
        try:
            labels = self.service.label(payload)
        except RefusedError as error:
            self._add(payload, {"refused": str(error)})
            raise
        self._add(payload, {"labels": [[label.name, float(label.score)] for label in labels]})
        return labels

    def _add(self, payload: bytes, answer: dict[str, Any]) -> None:
        key = hashlib.sha256(payload).hexdigest()
        if key in self.known:
            return
        self._write({"sha256": key} | answer)
        self.known.add(key)

    def _write(self, entry: dict[str, Any]) -> None:
        try:
            with open(self.path, "ab", buffering=0) as file:  # one write: others may add as well
                file.write(json.dumps(entry).encode() + b"\n")
        except OSError as error:
            raise ServiceError(f"{printable(str(self.path))}: {reason(error)}") from error
