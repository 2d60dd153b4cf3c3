"""Make anew what stands in the pages and follows from the code: `python tests/make_documents.py`.

In every page: what an example prints, below it, and the line in a link like `file.py#L12` or
`file.py#L12-L20` to the function that the link's text names. In the README: how many lines and
files `core/` has. `tests/test_documents.py` compares.

Examples are blocks of `python` with a block of `text` below, and blocks of `console`, in which the
lines behind `$ adacompress` are what the command prints. Those of a page run one after another, in
a folder that has the folder `photos`.
"""

from __future__ import annotations

import ast
import contextlib
import io
import os
import re
import shlex
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from adacompress_ref.cli import main as cli

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "adacompress_ref"
PAGES = sorted(
    path
    for pattern in ("*.md", "*/*.md", "adacompress_ref/*/*.md", "tests/photos/*.md")
    for path in ROOT.glob(pattern)
    if not path.relative_to(ROOT).parts[0].startswith((".", "build"))
)
PYTHON = re.compile(r"(```python\n(.*?)```\s+```text\n).*?```", re.DOTALL)
CONSOLE = re.compile(r"```console\n(.*?)```", re.DOTALL)
FIRST_RUN = re.compile(
    r"(adacompress (run [^\n]*) --state first-run\n.*?```text\n).*?```", re.DOTALL
)
TO_A_LINE = re.compile(r"\[`([\w.]+)`\]\(([^()#\s]+\.py)#L\d+\)")
SIZE = re.compile(r"\d+ lines in \d+ files")


def printed(arguments: list[str]) -> str:
    """What a command of adacompress prints to standard output."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()):
        cli.main(arguments)
    return out.getvalue()


def typed(block: str) -> str:
    """A block of console, with what its commands print today."""
    commands = [line for line in block.splitlines() if line.startswith("$ ")]
    return "".join(f"{line}\n{printed(shlex.split(line)[2:])}" for line in commands)


def with_outputs(text: str) -> str:
    """A page whose examples have been run, in a folder of their own."""
    names: dict[str, Any] = {}

    def of_python(match: re.Match[str]) -> str:
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            exec(match[2], names)
        return f"{match[1]}{out.getvalue()}```"

    before = os.getcwd()
    with tempfile.TemporaryDirectory() as made:
        shutil.copytree(ROOT / "photos", Path(made, "photos"))
        os.chdir(made)
        try:
            text = FIRST_RUN.sub(
                lambda m: f"{m[1]}{printed([*shlex.split(m[2]), '--state', 'first-run'])}```", text
            )
            text = PYTHON.sub(of_python, text)
            return CONSOLE.sub(lambda match: f"```console\n{typed(match[1])}```", text)
        finally:
            os.chdir(before)


def line_of(path: Path, name: str) -> int:
    """Where a function, class or method, `Class.method` or its bare name, is defined."""
    owner, _, last = name.rpartition(".")
    tree = ast.parse(path.read_text("utf-8"))
    scopes = [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef | ast.Module)]
    for scope in scopes:
        if owner and getattr(scope, "name", "") != owner:
            continue
        for node in scope.body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == last:
                return node.lineno
    raise ValueError(f"{path}: defines no {name}")


def with_lines(text: str, folder: Path) -> str:
    """A page of that folder whose links to lines lead to what their text names."""

    def of_link(match: re.Match[str]) -> str:
        path = folder / match[2]
        return f"[`{match[1]}`]({match[2]}#L{line_of(path, match[1])})"

    return TO_A_LINE.sub(of_link, text)


def with_size(text: str) -> str:
    """The README with the size of the core."""
    files = list((PACKAGE / "core").glob("[a-z]*.py"))
    everything = (PACKAGE / "core").glob("*.py")
    lines = sum(len(path.read_text("utf-8").splitlines()) for path in everything)
    return SIZE.sub(f"{lines} lines in {len(files)} files", text)


def made_anew(page: Path, examples: bool = True) -> str:
    text = with_lines(page.read_text("utf-8"), page.parent)
    if page == ROOT / "README.md":
        text = with_size(text)
    return with_outputs(text) if examples else text


def main() -> int:
    """Exit status 0, whether or not something has changed."""
    for page in PAGES:
        text = made_anew(page)
        if text != page.read_text("utf-8"):
            page.write_text(text, "utf-8")
            print(page.relative_to(ROOT))
    return 0


if __name__ == "__main__":
    sys.exit(main())
