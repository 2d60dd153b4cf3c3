"""Names and files: what may be shown and written, and what went wrong in one line."""

from __future__ import annotations

import os

from .arrays import whole_file


class ImageError(ValueError):
    """An image that cannot be used. One line: which file, what is wrong, what to do."""


def printable(text: str) -> str:
    """Text without control characters, safe to show: a name may hold anything."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def reason(error: BaseException) -> str:
    """What an exception says, in one line; its class where it says nothing, as MemoryError."""
    lines = str(getattr(error, "strerror", None) or error).strip().splitlines()
    return f"{printable(f'{lines[0]:.300}'):.300}" if lines else type(error).__name__


def save_atomically(path: str | os.PathLike[str], data: bytes) -> None:
    """Write a file whole or not at all. Raises OSError naming `path`."""
    with whole_file(path) as stream:
        stream.write(data)
