"""Names and files: what may be shown, found and written, and what went wrong in one line."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from .arrays import whole_file

_ENDINGS = ".jpg", ".jpeg", ".jpe", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff"


class ImageError(ValueError):
    """An image that cannot be used. One line: which file, what is wrong, what to do."""


def printable(text: str) -> str:
    """Text without control characters, safe to show: a name may hold anything."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def reason(error: BaseException) -> str:
    """What an exception says, in one line; its class where it says nothing, as MemoryError."""
    lines = str(getattr(error, "strerror", None) or error).strip().splitlines()
    return f"{printable(f'{lines[0]:.300}'):.300}" if lines else type(error).__name__


def find(folder: str | os.PathLike[str]) -> list[str]:
    """Names of the image files below a folder, told by their endings: relative, sorted.

    Hidden files and folders are left out, so is what is no regular file; links to folders are not
    followed. Raises ImageError if a folder cannot be read or there is no image.
    """

    def fail(error: OSError) -> None:
        place = printable(str(error.filename))
        raise ImageError(f"{place}: {error.strerror}; name a readable folder") from error

    names = []
    for where, folders, files in os.walk(folder, onerror=fail):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in files:
            path = Path(where, name)
            is_image = path.suffix.lower() in _ENDINGS and not name.startswith(".")
            # A broken link is found, to fail when it is read.
            if is_image and (os.path.isfile(path) or not os.path.exists(path)):
                names.append(path.relative_to(folder).as_posix())
    if not names:
        place, endings = printable(os.fspath(folder)), ", ".join(_ENDINGS)
        raise ImageError(f"{place}: no image in this folder ({endings}); name another")
    return sorted(names)


def digest(path: str | os.PathLike[str]) -> str | None:
    """SHA-256 of a file of any size, in hexadecimal digits; None where it cannot be read."""
    total = hashlib.sha256()
    try:
        with open(path, "rb") as file:
            while part := file.read(2**20):
                total.update(part)
    except OSError:
        return None
    return total.hexdigest()


def save_atomically(path: str | os.PathLike[str], data: bytes) -> None:
    """Write a file whole or not at all. Raises OSError naming `path`."""
    with whole_file(path) as stream:
        stream.write(data)
