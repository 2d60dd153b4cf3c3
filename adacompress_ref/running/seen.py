"""What was sent before, as 64 bits each, and what could not be, by name."""

from __future__ import annotations

import json
import time
from collections import Counter
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..storage.files import save_atomically

WAITING = "waiting"
MANY = 100_000  # of 64 bits
TRIES = 5  # without an answer while others had one, before an image is put aside
FIRST_REST, LONGEST_REST = 600.0, 86400.0  # seconds until it is tried again, doubling


class Trouble(NamedTuple):
    """Why an image is not sent."""

    kind: str  # waiting, failed (it never will be, as it is) or gone
    why: str = ""
    tries: int = 0  # that had no answer, while others had one in between
    answers: int = -1  # that images had had at the latest of them
    due: float = 0.0  # seconds since the epoch: put aside until then


class Seen:
    """In a state folder: `seen`, which only grows, and `trouble.json`. Methods raise OSError."""

    def __init__(self, folder: Path) -> None:
        self._trouble_path = folder / "trouble.json"
        self.file = open(folder / "seen", "ab", buffering=0)  # noqa: SIM115
        self.file.truncate(self.file.tell() // 8 * 8)
        self._sorted = np.sort(np.fromfile(folder / "seen", "<u8"))
        self._added = set[int]()  # since it was sorted
        self.answers = 0  # that images have had
        self.troubles = troubles(folder)

    def has(self, *parts: object) -> bool:
        """Whether this was added."""
        key = _key(parts)
        place = self._sorted.searchsorted(np.uint64(key))
        return key in self._added or key in self._sorted[place : place + 1]

    def add(self, *keys: tuple[object, ...]) -> None:
        """Add the parts of each key; for good once `file` is synced."""
        self.file.write(b"".join(_key(parts).to_bytes(8, "little") for parts in keys))
        self._added.update(map(_key, keys))
        if len(self._added) > MANY:
            added = np.array([*self._added], "<u8")
            self._sorted = np.sort(np.concatenate([self._sorted, added]))
            self._added.clear()

    def settle(self, *names: str, trouble: Trouble | None = None) -> None:
        """What is the matter with some images now; None: nothing is."""
        if (trouble and names) or not self.troubles.keys().isdisjoint(names):
            if trouble:
                self.troubles |= dict.fromkeys(names, trouble)
            for name in names if not trouble else ():
                self.troubles.pop(name, None)
            save_atomically(self._trouble_path, json.dumps(self.troubles).encode())

    def unanswered(self, name: str, why: str) -> None:
        """An image had no answer. A try counts if others had one since the try before."""
        before = self.troubles.get(name, Trouble(WAITING))
        tries = before.tries + (before.answers < self.answers)
        rest = min(FIRST_REST * 2 ** min(tries - TRIES, 9), LONGEST_REST)
        due = time.time() + rest if tries >= TRIES else 0.0
        self.settle(name, trouble=Trouble(WAITING, why, tries, self.answers, due))


def troubles(folder: Path) -> dict[str, Trouble]:
    """Those in a state folder, by the names of images; what is damaged is passed over."""
    with suppress(OSError, ValueError, TypeError, AttributeError, RecursionError):
        rows = json.loads((folder / "trouble.json").read_bytes()).items()
        return {
            name: Trouble(str(kind), str(why), int(tries), int(answers), float(due))
            for name, (kind, why, tries, answers, due) in rows
        }
    return {}


def counts(troubles: dict[str, Trouble]) -> dict[str, int]:
    """How many images are failed, waiting, put aside and gone."""
    found = Counter("put_aside" if trouble.due else trouble.kind for trouble in troubles.values())
    return {name: found[name] for name in ("failed", WAITING, "put_aside", "gone")}


def _key(parts: tuple[object, ...]) -> int:
    text = "\0".join(map(str, parts)).encode("utf-8", "surrogateescape")
    return int.from_bytes(blake2b(text, digest_size=8).digest(), "little")
