"""Copy the package, or its core alone, into another project under any name.

`python -m adacompress_ref.vendor DEST` makes the folder DEST, whose last part is the new name. Its
file VERSION says what was copied, with the SHA-256 of each file: `sha256sum --check VERSION`.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from keyword import iskeyword
from pathlib import Path

from . import __version__
from .storage.artifacts import shipped_folder
from .storage.files import printable, reason

_PACKAGE = Path(__file__).resolve().parent
_TITLE = "# adacompress_ref "


def main(arguments: Sequence[str] | None = None) -> int:
    """Copy; the exit status is 0, 2 where nothing was done, 130 after Ctrl-C."""
    top = argparse.ArgumentParser(f"python -m {__package__}.vendor", description=__doc__)
    top.add_argument("destination", metavar="DEST", help="the new folder; its name is free")
    top.add_argument("--core", action="store_true", help="core/ alone, which needs NumPy alone")
    top.add_argument("--no-weights", action="store_true", help="leave out the weight files")
    options = top.parse_args(arguments)
    shown = printable(options.destination)
    try:
        count = vendor(options.destination, options.core, not options.no_weights)
    except (ValueError, OSError) as error:
        print(f"vendor: {shown}: cannot be made: {reason(error)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nvendor: stopped", file=sys.stderr)
        return 130
    print(f"{shown}: adacompress_ref {__version__}, {count} files")
    return 0


def vendor(destination: str, core: bool = False, weights: bool = True) -> int:
    """Copy to the folder `destination`; how many files there are.

    What it made before is replaced, whole or not at all. Raises ValueError where the name cannot
    be imported, the weights are absent, or the folder holds anything else; OSError.
    """
    target = Path(os.path.abspath(destination))
    if not target.name.isidentifier() or iskeyword(target.name):
        raise ValueError("no name of a Python package; use letters, digits and _")
    _check_own(target)
    with tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as beside:
        new, old = Path(beside, "new"), Path(beside, "old")
        ignored = shutil.ignore_patterns("__pycache__", "VERSION", "weights")
        shutil.copytree(_PACKAGE / "core" if core else _PACKAGE, new, ignore=ignored)
        shutil.copyfile(_PACKAGE / "LICENSE", new / "LICENSE")
        if weights and not core:
            if not (shipped_folder() / "manifest.json").is_file():
                raise ValueError("there are no weight files to copy; use --no-weights")
            shutil.copytree(shipped_folder(), new / "weights")
        lines = [f"{_TITLE}{__version__}{', the core' if core else ''}", *_listed(new)]
        (new / "VERSION").write_text("\n".join([*lines, ""]), "utf-8")
        try:
            if target.exists():
                target.rename(old)
            new.rename(target)
        finally:
            if old.exists() and not target.exists():
                old.rename(target)
    return len(lines)


def _check_own(target: Path) -> None:
    """Raises ValueError where a folder holds what was not written here, or was changed since."""
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        raise ValueError("exists and is no folder; name another")
    stamp = target / "VERSION"
    lines = stamp.read_text("utf-8", "replace").splitlines() if stamp.is_file() else []
    own = lines if lines and lines[0].startswith(_TITLE) else []
    for line in _listed(target):
        name = line.partition("  ")[2]
        if line not in own and not (own and name == "VERSION"):
            raise ValueError(
                f"{printable(name)} was not written by this command, or changed since; move it "
                "away, or name another folder"
            )


def _listed(folder: Path) -> list[str]:
    """The files below a folder as sha256sum lists them; not what Python compiles."""
    lines = []
    for path in sorted(folder.rglob("*")):
        if "__pycache__" not in path.parts and (path.is_symlink() or not path.is_dir()):
            plain = path.is_file() and not path.is_symlink()
            digest = hashlib.sha256(path.read_bytes()).hexdigest() if plain else "not a file"
            lines.append(f"{digest}  {path.relative_to(folder).as_posix()}")
    return lines


if __name__ == "__main__":
    sys.exit(main())
