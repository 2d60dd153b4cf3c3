"""The images of a folder, told by their endings."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

from ..imaging.read import ENDINGS
from ..storage.files import ImageError, printable

# Of pictures too, in formats that are not read, or not without an extra.
_OTHERS = """ 3fr arw avif cr2 cr3 crw dng erf exr hdr heic heif hif ico j2k jp2 jxl kdc mrw nef nrw
 orf pbm pef pgm pnm ppm psd raf raw rw2 sr2 srf srw svg tga x3f """


def find(folder: str | os.PathLike[str], say: Callable[[str], object] = str) -> list[str]:
    """Names of the image files below a folder: relative, sorted.

    Hidden files and folders are left out, so is what is no regular file; links to folders are not
    followed. `say` gets a line on pictures that are not read. Raises ImageError if a folder cannot
    be read or there is no image.
    """

    def fail(error: OSError) -> None:
        place = printable(str(error.filename))
        raise ImageError(f"{place}: {error.strerror}; name a readable folder") from error

    names, others = [], []
    for where, folders, files in os.walk(folder, onerror=fail):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in files:
            path, ending = Path(where, name), Path(name).suffix[1:].lower()
            if name.startswith("."):
                continue
            # A broken link is found, to fail when it is read.
            if ending in ENDINGS and (os.path.isfile(path) or not os.path.exists(path)):
                names.append(path.relative_to(folder).as_posix())
            elif ending and f" {ending} " in _OTHERS:
                others.append(ending.upper())
    shown = printable(os.fspath(folder))
    if others:
        count = "1 file" if len(others) == 1 else f"{len(others)} files"
        kinds = ", ".join(sorted({*others}))
        say(f"adacompress: {shown}: {count} of formats that are not read: {kinds}")
    if not names:
        endings = ", ".join(f".{ending}" for ending in sorted(ENDINGS))
        raise ImageError(f"{shown}: no image in this folder ({endings}); name another")
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
