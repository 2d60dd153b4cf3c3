"""Find weight files."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]  # its root


class ArtifactError(ValueError):
    """A weight file is missing, damaged or cannot be fetched."""


def shipped_folder() -> Path:
    """The weights inside the installed package, or beside it in a checkout."""
    inside, beside = _PACKAGE / "weights", _PACKAGE.parent / "weights"
    # what lies beside a copy in another project may be that project's own
    ours = not inside.is_dir() and (beside / "manifest.json").is_file()
    return beside if ours else inside


def cache_folder() -> Path:
    """Where `fetch` puts files: below XDG_CACHE_HOME, or ~/.cache."""
    return Path(os.getenv("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "adacompress_ref")


def find(name: str, explicit: str | os.PathLike[str] | None = None) -> Path:
    """The weight file `name`: `explicit`, or in ADACOMPRESS_WEIGHTS, as shipped, or in the cache.

    Raises ArtifactError if it is nowhere.
    """
    if explicit is not None:
        if not Path(explicit).is_file():
            raise ArtifactError(f"{explicit}: there is no such file")
        return Path(explicit)
    named = os.environ.get("ADACOMPRESS_WEIGHTS")
    folders = [*([Path(named)] if named else []), shipped_folder(), cache_folder()]
    for folder in folders:
        if (folder / name).is_file():
            return folder / name
    raise ArtifactError(
        f"weight file {name} is in none of: {', '.join(map(str, folders))}; copy the folder "
        f"weights/ of this project into {_PACKAGE}, or name it in ADACOMPRESS_WEIGHTS"
    )


def sha256(path: str | os.PathLike[str]) -> str:
    """The SHA-256 of a file, in hexadecimal digits."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()
