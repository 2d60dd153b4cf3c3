"""Copy the package, or its core alone, into another project under any name.

`python -m adacompress_ref.vendor DEST` makes the folder DEST, whose last part is the new name. Its
file VERSION says what was copied, with the SHA-256 of each file: `sha256sum --check VERSION`.
"""

from __future__ import annotations

import argparse
import hashlib
import keyword
import os
import shutil
import sys
import uuid
from collections.abc import Sequence
from pathlib import Path

from . import __version__
from .storage.arrays import PARTIAL
from .storage.artifacts import shipped_folder
from .storage.files import printable, reason

CORE = (
    *("config", "equations", "qnetwork", "replay", "arrays"),
    *("agent", "survival", "changes", "controller"),
)
_PACKAGE = Path(__file__).resolve().parent
_TITLE = "# adacompress_ref "


def main(arguments: Sequence[str] | None = None) -> int:
    """Copy; the exit status is 0, 2 where nothing was done, 130 after Ctrl-C."""
    top = argparse.ArgumentParser(
        prog=f"python -m {__package__}.vendor",
        description="Copy this package, with its licence, into another project.",
        epilog=f"example: python -m {__package__}.vendor my_project/codec",
    )
    top.add_argument("destination", metavar="DEST", help="the new folder; its name is free")
    top.add_argument(
        "--core", action="store_true", help="the algorithm alone, which needs NumPy alone"
    )
    top.add_argument("--no-weights", action="store_true", help="leave out the weight files")
    options = top.parse_args(arguments)
    try:
        files = vendor(options.destination, options.core, not options.no_weights)
    except ValueError as error:
        print(f"vendor: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        place = printable(options.destination)
        print(f"vendor: {place}: cannot be made there ({reason(error)})", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nvendor: stopped", file=sys.stderr)
        return 130
    print(f"{printable(options.destination)}: adacompress_ref {__version__}, {len(files)} files")
    return 0


def vendor(destination: str, core: bool = False, weights: bool = True) -> list[str]:
    """Copy to the folder `destination`; the names of the files there.

    What it made before is replaced, whole or not at all. Raises ValueError where the name cannot
    be imported, the weights are absent, or the folder holds anything else; OSError.
    """
    target = Path(os.path.abspath(destination))
    if not target.name.isidentifier() or keyword.iskeyword(target.name):
        raise ValueError(
            f"{printable(destination)}: no name of a Python package; use letters, digits and _"
        )
    if not target.parent.is_dir():
        raise ValueError(f"{printable(str(target.parent))}: there is no such folder; make it first")
    _check_own(target)
    sources = _sources(core, weights)
    beside = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
    partial, old = Path(f"{beside}{PARTIAL}"), Path(f"{beside}.old")
    try:
        partial.mkdir()
        for name, source in sources.items():
            (partial / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, partial / name)
        what = f"{_TITLE}{__version__}{', the core' if core else ''}"
        if core:
            (partial / "__init__.py").write_text(f'"""{what[2:]}; see VERSION."""\n', "utf-8")
        lines = [f"{_digest(path)}  {name}" for name, path in _files(partial).items()]
        (partial / "VERSION").write_text("\n".join([what, *lines, ""]), "utf-8")
        if target.exists():
            target.rename(old)
        partial.rename(target)
    finally:
        if old.exists() and not target.exists():
            old.rename(target)
        for left in (partial, old):
            shutil.rmtree(left, ignore_errors=True)
    return [*_files(target)]


def _sources(core: bool, weights: bool) -> dict[str, Path]:
    """The files to copy, by their names in the copy. Raises ValueError."""
    if core:
        return {name: _PACKAGE / name for name in ("LICENSE", *(f"{each}.py" for each in CORE))}
    found = {
        name: path
        for name, path in _files(_PACKAGE).items()
        if name != "VERSION" and not name.startswith("weights/")
    }
    if weights:
        folder = shipped_folder()
        if not (folder / "manifest.json").is_file():
            raise ValueError(f"{folder}: no weight files there; use --no-weights to do without")
        found |= {f"weights/{name}": path for name, path in _files(folder).items()}
    return found


def _check_own(target: Path) -> None:
    """Raises ValueError where a folder holds what was not written here, or was changed since."""
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        raise ValueError(f"{printable(str(target))}: exists and is no folder; name another")
    stamp = target / "VERSION"
    text = stamp.read_text("utf-8", "replace") if stamp.is_file() else ""
    lines = text.splitlines() if text.startswith(_TITLE) else []
    known = {line[66:]: line[:64] for line in lines}  # as sha256sum writes them
    known |= {"VERSION": ""} if lines else {}
    for name, path in _files(target).items():
        plain = path.is_file() and not path.is_symlink()
        if not plain or name not in known or known[name] not in ("", _digest(path)):
            raise ValueError(
                f"{printable(str(path))}: not written by this command, or changed since; move it "
                "away, or name another folder"
            )


def _files(folder: Path) -> dict[str, Path]:
    """The files below a folder by their names in it, sorted; not what Python compiles."""
    paths = (path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir())
    names = {path.relative_to(folder).as_posix(): path for path in sorted(paths)}
    return {name: path for name, path in names.items() if "__pycache__" not in name.split("/")}


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


if __name__ == "__main__":
    sys.exit(main())
