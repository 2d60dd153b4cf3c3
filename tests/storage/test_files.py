"""What is shown, found and written."""

import errno
import os

import pytest

from adacompress_ref.storage import files
from adacompress_ref.storage.files import ImageError


def test_find(tmp_path):
    for name in ("b.JPG", "a/z.tiff", "a/.hidden.png", ".h/c.png", "a.txt", "a/é.WebP", "jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "gone.gif").symlink_to("nowhere")  # to be found, and to fail when it is read
    (tmp_path / "zero.gif").symlink_to("/dev/zero")
    os.mkfifo(tmp_path / "a" / "pipe.jpg")
    (tmp_path / "link.jpg").symlink_to("b.JPG")
    assert files.find(tmp_path) == ["a/z.tiff", "a/é.WebP", "b.JPG", "gone.gif", "link.jpg"]
    assert files.find(os.path.relpath(tmp_path / "a")) == ["z.tiff", "é.WebP"]
    for folder, reason in (("jpg", "Not a directory"), ("no\nne", r"no\\nne: No such")):
        with pytest.raises(ImageError, match=reason):
            files.find(tmp_path / folder)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ImageError, match="empty: no image in this folder"):
        files.find(tmp_path / "empty")


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
