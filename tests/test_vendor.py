"""`python -m adacompress_ref.vendor`: what it copies, and what it does not overwrite."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from adacompress_ref import vendor

PACKAGE = Path(vendor.__file__).parent


@pytest.fixture
def made(tmp_path):
    """A core, copied."""
    assert vendor.main([str(tmp_path / "codec"), "--core"]) == 0
    return tmp_path / "codec"


def contents(folder):
    return {path: path.is_file() and path.read_bytes() for path in folder.rglob("*")}


def test_the_licence_goes_along_with_the_package():
    assert (PACKAGE / "LICENSE").read_text() == (PACKAGE.parent / "LICENSE").read_text()


def test_the_stamp_has_version_and_digests(made):
    title, *lines = (made / "VERSION").read_text().splitlines()
    assert title == f"# adacompress_ref {vendor.__version__}, the core"
    listed = dict(reversed(line.split("  ")) for line in lines)
    copied = {path.name: path for path in made.iterdir() if path.name != "VERSION"}
    assert listed == {
        name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in copied.items()
    }
    core = [path.name for path in (PACKAGE / "core").glob("*.*")]
    assert set(listed) == {"LICENSE", "README.md", *core}
    subprocess.run(["sha256sum", "--check", "--quiet", "VERSION"], cwd=made, check=True)


def test_the_core_is_imported_under_its_new_name_where_numpy_is_all_there_is(made):
    program = """
import importlib, pkgutil, sys
import codec
for module in pkgutil.iter_modules(codec.__path__):
    importlib.import_module(f"codec.{module.name}")
assert not {"PIL", "onnxruntime", "requests", "adacompress_ref"} & set(sys.modules)
"""
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=made.parent, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_what_it_made_is_replaced_and_nothing_is_left_over(made, capsys):
    (made / "__pycache__").mkdir()
    (made / "__pycache__" / "agent.pyc").touch()
    assert vendor.main([str(made), "--no-weights"]) == 0
    assert f"{made}: adacompress_ref {vendor.__version__}, " in capsys.readouterr().out
    assert (made / "services" / "http.py").is_file()
    assert not (made / "weights").exists()
    assert vendor.main([str(made), "--core"]) == 0
    assert not (made / "services").exists()
    assert list(made.parent.iterdir()) == [made]


def change(folder):
    with open(folder / "agent.py", "a") as file:
        file.write("# mine\n")


def link(folder):
    shutil.move(folder / "agent.py", folder.parent / "agent.py")
    (folder / "agent.py").symlink_to(folder.parent / "agent.py")


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (change, "agent.py"),
        (link, "agent.py"),
        (lambda folder: (folder / "mine.py").touch(), "mine.py"),
        (lambda folder: (folder / ".git").mkdir() or (folder / ".git/HEAD").touch(), ".git/HEAD"),
        (lambda folder: os.mkfifo(folder / "pipe"), "pipe"),
        (lambda folder: (folder / "VERSION").unlink(), "LICENSE"),
        (lambda folder: (folder / "VERSION").write_text("1.0"), "LICENSE"),
        (lambda folder: (folder / "VERSION").write_bytes(b"# adacompress_ref \xff"), "LICENSE"),
    ],
)
def test_what_it_did_not_write_is_kept(made, capsys, damage, named):
    damage(made)
    names = sorted(made.rglob("*"))
    assert vendor.main([str(made)]) == 2
    assert sorted(made.rglob("*")) == names
    assert capsys.readouterr().err == (
        f"vendor: {made}: cannot be made: {named} was not written by this command, or changed "
        "since; move it away, or name another folder\n"
    )


@pytest.mark.parametrize(
    ("destination", "text"),
    [
        ("my-codec", "no name of a Python package"),
        ("class", "no name of a Python package"),
        ("a\x1b[31m", r"a\\x1b\[31m: cannot be made: no name"),
        ("file", "exists and is no folder"),
        ("dangling", "exists and is no folder"),
        ("absent/codec", "absent/codec: cannot be made: No such"),
        ("file/codec", "file/codec: cannot be made: Not a dir"),
        ("full", "full: cannot be made: theirs was not written by this command"),
    ],
)
def test_where_it_cannot_be(tmp_path, monkeypatch, capsys, destination, text):
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    Path("full").mkdir()
    Path("full/theirs").touch()
    Path("dangling").symlink_to("nowhere")
    before = contents(tmp_path)
    assert vendor.main([destination]) == 2
    assert contents(tmp_path) == before
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert re.search(text, error)


@pytest.mark.parametrize(
    ("error", "status"), [(OSError(28, "No space left on device"), 2), (KeyboardInterrupt(), 130)]
)
def test_a_stop_leaves_what_was_there(made, monkeypatch, capsys, error, status):
    def fail(source, target, **options):
        if Path(source).name == "controller.py":
            raise error
        Path(target).write_bytes(Path(source).read_bytes())

    before = contents(made.parent)
    monkeypatch.setattr(vendor.shutil, "copyfile", fail)
    assert vendor.main([str(made)]) == status
    assert contents(made.parent) == before
    assert capsys.readouterr().err.strip().count("\n") == 0


def test_a_copy_copies_itself(tmp_path):
    assert vendor.main([str(tmp_path / "first"), "--no-weights"]) == 0

    def again(*options):
        return subprocess.run(
            [sys.executable, "-m", "first.vendor", "second", *options],
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )

    refused = again()
    assert refused.returncode == 2
    assert "use --no-weights" in refused.stderr
    assert again("--no-weights").returncode == 0
    first, second = (tmp_path / name / "VERSION" for name in ("first", "second"))
    assert first.read_text() == second.read_text()
