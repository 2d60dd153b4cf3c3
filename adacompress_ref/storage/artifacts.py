"""Find, verify and fetch weight files."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .files import save_atomically

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
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "adacompress_ref"


def find(name: str, explicit: str | os.PathLike[str] | None = None) -> Path:
    """The path of the weight file `name`.

    Looked for at `explicit`, in ADACOMPRESS_WEIGHTS, among the shipped files, in the cache folder.
    Raises ArtifactError if it is nowhere.
    """
    if explicit is not None:
        if not Path(explicit).is_file():
            raise ArtifactError(f"{explicit}: there is no such file")
        return Path(explicit)
    folders = [shipped_folder(), cache_folder()]
    if os.environ.get("ADACOMPRESS_WEIGHTS"):
        folders.insert(0, Path(os.environ["ADACOMPRESS_WEIGHTS"]))
    for folder in folders:
        if (folder / name).is_file():
            return folder / name
    places = ", ".join(str(folder) for folder in folders)
    raise ArtifactError(
        f"weight file {name} is in none of: {places}; copy the folder weights/ of this project "
        f"into {_PACKAGE}, or name it in ADACOMPRESS_WEIGHTS"
    )


def manifest() -> dict[str, Any]:
    """The shipped manifest: `files` that are here, `fetch` for files that can be had.

    Raises ArtifactError if it cannot be read.
    """
    path = find("manifest.json")
    try:
        content = json.loads(path.read_text("utf-8"))
        return {name: dict(content[name]) for name in ("files", "fetch")}
    except (ValueError, KeyError, TypeError) as error:
        raise ArtifactError(f"{path}: damaged ({error!r}); install the package anew") from error


def verify() -> Iterator[tuple[str, str | None]]:
    """Each file of the manifest with None if it is whole, else with what is wrong."""
    for name, entry in sorted(manifest()["files"].items()):
        try:
            path = find(name)
            problem = None if sha256(path) == entry["sha256"] else f"{path}: SHA-256 differs"
        except ArtifactError as error:
            problem = str(error)
        yield name, problem


def fetch(name: str) -> Path:
    """Download a file that the manifest names into the cache folder, check it, return its path.

    A sidecar is written beside it. Raises ArtifactError; nothing unchecked is moved into place.
    """
    entries = manifest()["fetch"]
    if name not in entries:
        raise ArtifactError(
            f"{name}: not a file that can be fetched; there are: {', '.join(entries)}"
        )
    entry = entries[name]
    path = cache_folder() / entry["file"]
    if not (path.is_file() and sha256(path) == entry["sha256"]):
        _download(name, entry, path)
    if "sidecar" in entry:
        save_atomically(path.with_name(f"{path.name}.json"), json.dumps(entry["sidecar"]).encode())
    return path


def _download(name: str, entry: dict[str, Any], path: Path) -> None:
    if os.environ.get("ADACOMPRESS_OFFLINE") == "1":
        raise ArtifactError(f"{name}: ADACOMPRESS_OFFLINE=1 forbids downloading it")
    import requests  # here, so that everything else works without a network stack

    try:
        response = requests.get(entry["url"], timeout=60)
        response.raise_for_status()
    except requests.RequestException as error:
        raise ArtifactError(f"{name}: the download failed ({type(error).__name__})") from error
    if hashlib.sha256(response.content).hexdigest() != entry["sha256"]:
        raise ArtifactError(f"{name}: what was downloaded has another SHA-256 than the manifest's")
    path.parent.mkdir(parents=True, exist_ok=True)
    save_atomically(path, response.content)


def sha256(path: str | os.PathLike[str]) -> str:
    """The SHA-256 of a file, in hexadecimal digits."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()
