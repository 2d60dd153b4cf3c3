"""Names and files: what may be shown, found and written, and what went wrong in one line."""

from __future__ import annotations

import fnmatch
import logging
import os
import re
from collections.abc import Callable, Iterable, Iterator

from .arrays import whole_file

EXCLUDED = (".*", "@eaDir", "#recycle", "lost+found")  # hidden, or of a system's own
_ENDINGS = (".jpg", ".jpeg", ".jpe", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff")


class ImageError(ValueError):
    """An image that cannot be used. One line: which file, what is wrong, what to do."""


def printable(text: str) -> str:
    """Text without control characters, safe to show: a name may hold anything."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def reason(error: BaseException) -> str:
    """What an exception says, in one line; its class where it says nothing, as MemoryError."""
    lines = str(getattr(error, "strerror", None) or error).strip().splitlines()
    return f"{printable(f'{lines[0]:.300}'):.300}" if lines else type(error).__name__


def walk(
    folder: str, tell: Callable[[str], object], exclude: Iterable[str] = EXCLUDED
) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Image files below a folder, told by their endings: names relative to it, in no order.

    Left out are what matches `exclude`, links to folders, what is no regular file, and folders
    within that cannot be read, which `tell` is told. Raises ImageError for `folder` itself.
    """
    left_out = re.compile("|".join(map(fnmatch.translate, exclude))).match
    places = [""]
    for place in places:
        try:
            for entry in os.scandir(os.path.join(folder, place)):
                name = place + entry.name
                if left_out(entry.name) or left_out(name):
                    pass
                elif entry.is_dir(follow_symlinks=False):
                    places.append(f"{name}/")
                elif name.lower().endswith(_ENDINGS) and (
                    entry.is_file() or not os.path.exists(entry.path)  # a broken link fails later
                ):
                    yield name, entry
        except OSError as error:
            fault = f"{printable(os.path.join(folder, place).rstrip('/'))}: {reason(error)}"
            if not place:
                raise ImageError(f"{fault}; name a readable folder") from error
            tell(f"adacompress: {fault}; left out")


def find(folder: str | os.PathLike[str]) -> list[str]:
    """The names that `walk` finds, sorted. Raises ImageError if it does or there is none."""
    folder, tell = os.fspath(folder), logging.getLogger(__package__).warning
    if names := sorted(name for name, _ in walk(folder, tell)):
        return names
    raise ImageError(f"{printable(folder)}: no image in this folder; name another")


def save_atomically(path: str | os.PathLike[str], data: bytes) -> None:
    """Write a file whole or not at all. Raises OSError naming `path`."""
    with whole_file(path) as stream:
        stream.write(data)
