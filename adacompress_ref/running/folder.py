"""The images of a folder, told by their endings."""

from __future__ import annotations

import fnmatch
import logging
import os
import re
from collections.abc import Callable, Iterable, Iterator

from ..imaging.read import ENDINGS
from ..storage.files import ImageError, printable, reason

EXCLUDED = (".*", "@eaDir", "#recycle", "lost+found")  # hidden, or of a system's own
# Of pictures too, in formats that are not read, or not without an extra.
_OTHERS = """ 3fr arw avif cr2 cr3 crw dng erf exr hdr heic heif hif ico j2k jp2 jxl kdc mrw nef nrw
 orf pbm pef pgm pnm ppm psd raf raw rw2 sr2 srf srw svg tga x3f """


def walk(
    folder: str,
    tell: Callable[[str], object],
    exclude: Iterable[str] = EXCLUDED,
    others: list[str] | None = None,
) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Image files below a folder, told by their endings: names relative to it, in no order.

    Left out are what matches `exclude`, links to folders, what is no regular file, and folders
    within that cannot be read, which `tell` is told. The endings of pictures that are not read go
    to `others`. Raises ImageError for `folder` itself.
    """
    left_out = re.compile("|".join(map(fnmatch.translate, exclude))).match
    places = [""]
    for place in places:
        try:
            for entry in os.scandir(os.path.join(folder, place)):
                name = place + entry.name
                ending = os.path.splitext(entry.name)[1][1:].lower()
                if left_out(entry.name) or left_out(name):
                    pass
                elif entry.is_dir(follow_symlinks=False):
                    places.append(f"{name}/")
                elif ending in ENDINGS and (
                    os.path.isfile(entry.path) or not os.path.exists(entry.path)
                ):  # a broken link fails later
                    yield name, entry
                elif others is not None and ending and f" {ending} " in _OTHERS:
                    others.append(ending.upper())
        except OSError as error:
            fault = f"{printable(os.path.join(folder, place).rstrip('/'))}: {reason(error)}"
            if not place:
                raise ImageError(f"{fault}; name a readable folder") from error
            tell(f"adacompress: {fault}; left out")


def find(folder: str | os.PathLike[str], tell: Callable[[str], object] | None = None) -> list[str]:
    """The names that `walk` finds, sorted; `tell` gets a line on pictures that are not read.

    Raises ImageError if it does or there is none.
    """
    folder, others = os.fspath(folder), list[str]()
    tell = tell or logging.getLogger(__package__).warning
    names = sorted(name for name, _ in walk(folder, tell, others=others))
    tell_of(others, folder, tell)
    return names or none_in(folder)


def tell_of(others: list[str], folder: str, tell: Callable[[str], object]) -> None:
    """A line on pictures that are not read, if there are any."""
    if others:
        count = "1 file" if len(others) == 1 else f"{len(others)} files"
        kinds = ", ".join(sorted({*others}))
        tell(f"adacompress: {printable(folder)}: {count} of formats that are not read: {kinds}")


def none_in(folder: str) -> list[str]:
    """Raises ImageError: there is no image in a folder."""
    endings = ", ".join(f".{ending}" for ending in sorted(ENDINGS))
    raise ImageError(f"{printable(folder)}: no image in this folder ({endings}); name another")
