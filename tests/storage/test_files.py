"""What is shown and written."""

import errno
import os

import pytest

from adacompress_ref.storage import files


def test_save_atomically(tmp_path):
    files.save_atomically(tmp_path / "a", b"one")
    files.save_atomically(str(tmp_path / "a"), b"two")
    assert (tmp_path / "a").read_bytes() == b"two"
    (tmp_path / "by_hand").touch()
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "by_hand").stat().st_mode


@pytest.mark.parametrize("step", ["fsync", "replace"])
@pytest.mark.parametrize("failure", [OSError, KeyboardInterrupt])
def test_save_atomically_leaves_nothing_behind(tmp_path, monkeypatch, step, failure):
    def fail(*_):
        raise failure

    (tmp_path / "a").write_bytes(b"old")
    monkeypatch.setattr(os, step, fail)
    with pytest.raises(failure):
        files.save_atomically(tmp_path / "a", b"new")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"old"]


@pytest.mark.parametrize("place", ["none/a", "file/a", "folder"])
def test_save_atomically_names_what_was_asked_for(tmp_path, place):
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError) as caught:
        files.save_atomically(tmp_path / place, b"")
    error = caught.value
    assert error.errno in (errno.ENOENT, errno.ENOTDIR, errno.EISDIR)
    assert str(error) == f"[Errno {error.errno}] {error.strerror}: {str(tmp_path / place)!r}"
    assert error.strerror == os.strerror(error.errno)


def test_save_atomically_onto_a_full_disk(tmp_path, monkeypatch):
    def fail(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # names no file

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match=r"No space left on device: '.*/a'"):
        files.save_atomically(tmp_path / "a", b"")


def test_printable():
    assert files.printable("é a\nb\x1b[2J\udcff") == r"é a\nb\x1b[2J\udcff"


def test_reason():
    missing = FileNotFoundError(errno.ENOENT, "No such file or directory", "a")
    assert files.reason(missing) == "No such file or directory"
    assert files.reason(MemoryError()) == "MemoryError"
    assert files.reason(ValueError(" \n")) == "ValueError"
    assert files.reason(ValueError("\nfirst\x1b\nsecond")) == r"first\x1b"
    assert len(files.reason(ValueError("x" * 999))) == 300
