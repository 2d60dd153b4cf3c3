"""EXIF that is kept beside other pixels."""

import io

import numpy as np
import pytest
from PIL import Image

from adacompress_ref.imaging import codec
from adacompress_ref.imaging import read as images
from adacompress_ref.imaging.encoding import REFERENCE
from adacompress_ref.running.metadata import kept_exif

PICTURE = Image.fromarray(np.arange(0, 240, dtype=np.uint8).reshape(10, 8, 3))
EXIF, GPS, INTEROPERABILITY = 34665, 34853, 40965


def saved(exif, image_format="JPEG", **options):
    stream = io.BytesIO()
    exif = exif if isinstance(exif, bytes) else exif.tobytes()
    PICTURE.save(stream, image_format, exif=exif, **options)
    return images.read(stream.getvalue())


def block(**directories):
    exif = Image.Exif()
    exif.update({271: "maker", 272: "model"} | directories.get("first", {}))
    exif[EXIF] = {36867: "2024:05:01 10:11:12", 37386: 35.0} | directories.get("exif", {})
    exif[GPS] = {1: "N", 2: (48.0, 8.0, 1.5)} | directories.get("gps", {})
    return exif


def written(photo, resized=False):
    """What is in the file, by directory, and what is lost."""
    kept, lost = kept_exif(photo, resized)
    exif = Image.open(io.BytesIO(codec.encode(photo.picture, REFERENCE, kept))).getexif()
    first = {tag: value for tag, value in exif.items() if tag not in (EXIF, GPS)}
    return first, exif.get_ifd(EXIF), exif.get_ifd(GPS), lost


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_from_every_format(image_format):
    first, exif, gps, lost = written(saved(block(), image_format))
    assert (first[271], first[272], lost) == ("maker", "model", [])
    assert not {256, 257, 258, 259, 262, 273, 277, 278, 279, 284, 317} & first.keys()
    assert (exif[36867], float(exif[37386])) == ("2024:05:01 10:11:12", 35)
    assert (gps[1], [float(part) for part in gps[2]]) == ("N", [48, 8, 1.5])


@pytest.mark.parametrize("orientation", [1, 6])
def test_tags_agree_with_the_pixels(orientation):
    said = {"first": {274: orientation}, "exif": {40961: 65535, 40962: 999, 40963: 888}}
    first, exif, _, lost = written(saved(block(**said)))
    size = PICTURE.size if orientation == 1 else PICTURE.size[::-1]
    assert (first.get(274, 1), exif[40961], (exif[40962], exif[40963]), lost) == (1, 1, size, [])
    _, exif, _, lost = written(saved(block(**said)), resized=True)
    assert (exif.get(40962), exif.get(40963), exif[40961], lost) == (None, None, 1, [])


def test_adobe_rgb_is_said_no_more():
    exif = block(exif={40961: 65535, INTEROPERABILITY: {1: "R03", 2: b"0100"}})
    photo = saved(exif)
    assert b"R03" in photo.file
    kept, lost = kept_exif(photo, resized=False)
    assert (b"R03" in kept, lost) == (False, [])


def test_what_is_odd_or_too_large_is_left_out_alone():
    exif = block(exif={37500: b"m" * 60_000, 37510: b"u" * 4000})
    first, found, _, lost = written(saved(exif, "PNG"))
    assert (len(found[37500]), len(found[37510]), first[271], lost) == (60_000, 4000, "maker", [])
    exif = block(exif={37500: b"m" * 70_000, 37510: b"u" * 4000}, gps={29: b"x" * 66_000})
    first, found, gps, lost = written(saved(exif, "PNG"))
    assert (37500 in found, len(found[37510]), 29 in gps, gps[1]) == (False, 4000, False, "N")
    assert sorted(lost) == ["GPSDateStamp", "MakerNote"]


def test_a_block_that_cannot_be_read_is_said():
    assert kept_exif(saved(b"Exif\0\0garbage"), False) == (None, ["all of it"])
    assert kept_exif(saved(b""), False) == (None, [])


def test_the_command_says_what_is_lost(adacompress):
    saved(b"").picture.save("none.jpg")
    PICTURE.save("a.jpg", exif=b"Exif\0\0garbage")
    status, _, err = adacompress("compress", "a.jpg", "none.jpg", "--keep-exif", "-o", "out")
    assert (status, err.count("a.jpg: EXIF"), err.count("all of it")) == (0, 1, 1)
    status, _, err = adacompress("compress", "a.jpg", "-o", "out")
    assert (status, "EXIF" in err) == (0, False)
