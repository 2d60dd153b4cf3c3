"""The images of a folder."""

import os

import pytest

from adacompress_ref.running import folder as files
from adacompress_ref.storage.files import ImageError


def test_find(tmp_path):
    for name in (
        "b.JPG",
        "a/y.jfif",
        "a/z.tiff",
        "a/.hidden.png",
        ".h/c.png",
        "a.txt",
        "a/é.WebP",
        "jpg",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "gone.gif").symlink_to("nowhere")  # to be found, and to fail when it is read
    (tmp_path / "zero.gif").symlink_to("/dev/zero")
    os.mkfifo(tmp_path / "a" / "pipe.jpg")
    (tmp_path / "link.jpg").symlink_to("b.JPG")
    assert files.find(tmp_path) == [
        "a/y.jfif",
        "a/z.tiff",
        "a/é.WebP",
        "b.JPG",
        "gone.gif",
        "link.jpg",
    ]
    assert files.find(os.path.relpath(tmp_path / "a")) == ["y.jfif", "z.tiff", "é.WebP"]
    for folder, reason in (("jpg", "Not a directory"), ("no\nne", r"no\\nne: No such")):
        with pytest.raises(ImageError, match=reason):
            files.find(tmp_path / folder)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ImageError, match="empty: no image in this folder"):
        files.find(tmp_path / "empty")


def test_pictures_that_are_not_read_are_counted_in_one_line(tmp_path):
    for name in ("a.jpg", "b.CR2", "c/d.cr2", "e.psd", ".f.nef", "g.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    lines = []
    assert files.find(tmp_path, lines.append) == ["a.jpg"]
    assert len(lines) == 1
    assert lines[0].endswith(": 3 files of formats that are not read: CR2, PSD")
    with pytest.raises(ImageError, match="c: no image in this folder"):
        files.find(tmp_path / "c", lines.append)
    assert "1 file of formats that are not read: CR2" in lines[1]


def test_a_link_to_itself_ends_no_walk(tmp_path):
    (tmp_path / "a.jpg").touch()
    (tmp_path / "loop.jpg").symlink_to("loop.jpg")
    (tmp_path / "folder").symlink_to(tmp_path)
    assert files.find(tmp_path) == ["a.jpg", "loop.jpg"]
