"""Answers kept in a file, so that a run can be repeated without asking, or paying, again.

The first line of the file says what the service takes; then there is one for each payload, with
its SHA-256, that of its pixels, and its labels or why it was refused. A payload that was not asked
has the answer of one with the same pixels, such as a JPEG with other Huffman tables; a line of an
earlier version, which has no pixels, gets them where its payload is recorded again, without asking.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..core.roles import Label
from ..imaging.codec import decode
from ..imaging.encoding import Limits
from ..storage.files import ImageError, printable, reason
from . import is_label, limits
from .answers import shown
from .errors import RefusedError, ServiceError
from .jsonlines import append_line, mend, read_lines

TAKES = Limits._fields[1:]  # formats and limits, without the name


def _read(path: Path) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """What the service takes, and all entries by payload. Raises ServiceError."""
    try:
        takes, *lines = read_lines(path) or [{}]
        entries = [entry for entry in lines if entry != takes]  # two may have begun the file
        if not all(isinstance(takes[name], int) for name in takes if name != "formats"):
            raise ValueError("the first line has other things than limits")
        if not all(isinstance(name, str) for name in takes.get("formats", [])):
            raise ValueError("formats are no list of names")
        for entry in entries:
            labels = [Label(*label) for label in entry.get("labels", [])]
            if "labels" not in entry and not isinstance(entry.get("refused"), str):
                raise ValueError("a line has neither labels nor refused")
            if not all(map(is_label, labels)):
                raise ValueError("a line has labels that are none")
        by_pixels = {entry["pixels"]: entry for entry in entries if "pixels" in entry}
        return takes, by_pixels | {entry["sha256"]: entry for entry in entries}
    except (OSError, ValueError, TypeError, KeyError) as error:
        what = "" if isinstance(error, OSError) else "not a recording of answers: "
        raise ServiceError(f"{printable(str(path))}: {what}{reason(error)}") from error


def _keys(payload: bytes) -> dict[str, str]:
    """SHA-256 of a payload, and of its pixels if it is an image."""
    keys = {"sha256": hashlib.sha256(payload).hexdigest()}
    with contextlib.suppress(ImageError):
        picture = decode(payload)
        shown = f"{picture.size}".encode() + picture.tobytes()
        keys["pixels"] = hashlib.sha256(shown).hexdigest()
    return keys


def _answer(entry: dict[str, Any]) -> list[Label]:
    if "refused" in entry:
        raise RefusedError(shown(entry["refused"]).strip() or "refused, as recorded")
    return [Label(*label) for label in entry["labels"]]


class Recorded:
    """Answers from the file `path`. Raises ServiceError where it cannot be used."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.name = f"recorded:{path}"
        if not Path(path).exists():
            raise ServiceError(f"{printable(str(path))}: there is no such recording")
        takes, self.entries = _read(Path(path))
        vars(self).update((name, takes[name]) for name in TAKES if name in takes)

    def label(self, payload: bytes) -> list[Label]:
        """What the service said. Raises RefusedError where it refused, or was never asked."""
        entry = self.entries.get(hashlib.sha256(payload).hexdigest())
        entry = entry or self.entries.get(_keys(payload).get("pixels", ""))
        if entry is None:
            raise RefusedError(
                f"{printable(self.name)}: has no answer for this payload of {len(payload)} bytes; "
                "record it with --record",
                sent=False,
            )
        return _answer(entry)


class Recorder:
    """`service`, all of whose answers are added to the file `path`.

    What is there already is not asked again. Raises ServiceError where that is something else or
    cannot be written.
    """

    def __init__(self, service: Any, path: str | os.PathLike[str]) -> None:
        self.service, self.path = service, Path(path)
        self.entries = _read(self.path)[1]
        try:
            mend(self.path)
            if not self.path.exists() or not self.path.stat().st_size:
                takes = limits(service)._asdict()
                kept = {name: takes[name] for name in TAKES if takes[name] is not None}
                append_line(self.path, kept)
        except OSError as error:
            raise ServiceError(f"{printable(str(path))}: {reason(error)}") from error

    def __getattr__(self, name: str) -> Any:  # formats, limits and the rest
        return getattr(self.service, name)

    def label(self, payload: bytes) -> Sequence[Label]:
        """The service's answer. Raises what it does; ServiceError where it cannot be recorded."""
        keys = _keys(payload)
        entry = self.entries.get(keys["sha256"]) or self.entries.get(keys.get("pixels", ""))
        if entry:
            if not keys.items() <= entry.items():
                self._keep(entry | keys)
            return _answer(entry)
        try:
            labels = self.service.label(payload)
        except RefusedError as error:
            self._keep(keys | {"refused": str(error)})
            raise
        # a little above 1 is rounding
        pairs = [[label.name, min(float(label.score), 1.0)] for label in labels]
        self._keep(keys | {"labels": pairs})
        return labels

    def _keep(self, entry: dict[str, Any]) -> None:
        self.entries |= {entry[key]: entry for key in ("sha256", "pixels") if key in entry}
        try:
            append_line(self.path, entry)
        except OSError as error:
            raise ServiceError(f"{printable(str(self.path))}: {reason(error)}") from error
