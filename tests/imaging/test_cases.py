"""Images that were read or written wrongly, with the values that are right (`cases/images`)."""

import io
import shutil
import subprocess

import numpy as np
import pytest
from PIL import Image

from adacompress_ref.imaging import codec
from adacompress_ref.imaging import read as images
from adacompress_ref.imaging.encoding import REFERENCE
from adacompress_ref.running.metadata import kept_exif, original
from adacompress_ref.storage.files import ImageError

IMAGEMAGICK = shutil.which("magick") or shutil.which("convert")


@pytest.fixture(scope="module")
def cases(shared):
    folder = shared / "cases" / "images"
    if not folder.is_dir():
        pytest.skip("no cases")
    return folder


@pytest.mark.parametrize(
    ("name", "means"),
    [
        ("grey12.tif", [97.0] * 3),
        ("grey16_white0.tif", [157.9] * 3),
        ("rgb16_planar.tif", [84.4, 101.7, 89.2]),
        ("gama_1.0.png", [82.5, 101.3, 88.1]),
        ("adobergb_r03_no_icc.jpg", [69.9, 76.1, 51.7]),
        ("adobergb_r03_icc.jpg", [69.9, 76.1, 51.7]),
        ("photo.jfif", [84.4, 101.7, 89.2]),
    ],
)
def test_means(cases, name, means):
    assert images.read(cases / name).pixels.mean((0, 1)) == pytest.approx(means, abs=1)


@pytest.mark.parametrize(("name", "right"), [("trns_grey4.png", 110.3), ("trns_grey16.png", 97.4)])
def test_the_left_half_is_transparent(cases, name, right):
    pixels = images.read(cases / name).pixels
    middle = pixels.shape[1] // 2
    assert (pixels[:, :middle] == 255).all()
    assert pixels[:, middle:].mean() == pytest.approx(right, abs=1)


@pytest.mark.skipif(not IMAGEMAGICK, reason="ImageMagick is not installed")
@pytest.mark.parametrize(
    "name",
    [
        *("grey12.tif", "grey16_white0.tif", "rgb16_planar.tif", "gama_1.0.png"),
        *("trns_grey4.png", "trns_grey16.png", "arithmetic.jpg", "photo.jfif"),
    ],
)
def test_imagemagick_reads_the_same(cases, name):
    ours = images.read(cases / name).pixels
    how = "-background white -alpha remove -colorspace sRGB -type TrueColor -depth 8 rgb:-"
    command = [IMAGEMAGICK, str(cases / name), *how.split()]
    theirs = subprocess.run(command, capture_output=True, check=True).stdout
    difference = ours.astype(int) - np.frombuffer(theirs, np.uint8).reshape(ours.shape)
    assert np.abs(difference).mean() < 1


def test_a_pixel_of_linear_light(cases):
    assert images.read(cases / "gama_1.0.png").pixels[5, 5] == pytest.approx([101, 122, 108], abs=2)


def test_adobe_rgb_by_exif_is_adobe_rgb_by_profile(cases):
    names = ("adobergb_r03_no_icc.jpg", "adobergb_r03_icc.jpg")
    one, other = (images.read(cases / name).pixels.astype(int) for name in names)
    assert np.abs(one - other).mean() < 0.5 and np.abs(one - other).max() <= 4


@pytest.mark.parametrize("name", ["a.dng", "a.tif", "a.nef"])
def test_a_preview_is_not_the_photograph(cases, tmp_path, name):
    (tmp_path / name).write_bytes((cases / "preview_in_ifd0.dng").read_bytes())
    with pytest.raises(ImageError, match=rf"{name}: .*a raw photograph: develop it first"):
        images.read(tmp_path / name)


def test_exif_of_which_one_tag_is_odd(cases):
    photo = images.read(cases / "exif_xres_ascii.jpg")
    block, lost = kept_exif(photo, resized=False)
    written = Image.open(io.BytesIO(codec.encode(photo.picture, REFERENCE, block))).getexif()
    assert (written[271], written[306], lost) == ("Canon", "2024:05:01 10:11:12", ["XResolution"])


def test_exif_of_70_kilobytes(cases):
    photo = images.read(cases / "exif_70k.jpg")
    block, lost = kept_exif(photo, resized=False)
    codec.encode(photo.picture, REFERENCE, block)
    assert lost == ["MakerNote"]


def test_arithmetic_coding_is_read_and_not_sent(cases):
    photo = images.read(cases / "arithmetic.jpg")
    assert photo.picture.size == (481, 321) and original(photo) is None


def test_a_small_jpeg_with_a_comment_does_not_grow(cases, adacompress):
    status, _, _ = adacompress("compress", cases / "gd_comment_q10.jpg", "--json", "-o", "out")
    sent = images._load("out/gd_comment_q10.jpg", None)[1]
    assert (status, len(sent) <= 6902, b"\xff\xfe" in sent) == (0, True, False)
    photo = images.read(cases / "gd_comment_q10.jpg")
    assert np.array_equal(images.read(original(photo)).pixels, photo.pixels)


def test_a_list_in_utf_16(cases, adacompress, tmp_path):
    status, out, err = adacompress("compress", "--files-from", cases / "list_utf16le.txt")
    assert (status, out, err.count("\n"), list(tmp_path.iterdir())) == (2, "", 1, [])


def test_names_of_dates(cases, adacompress):
    names = [cases / "snap.20240101", cases / "snap.20240102"]
    for order in (names, names[::-1]):
        for name in order:
            status, out, _ = adacompress("compress", name, "--json", "-o", "out")
            assert (status, f'"output": "out/{name.name}.jpg"' in out) == (0, True)
