"""A file sent as it is: its picture alone."""

import io
import re

import numpy as np
import pytest
from picture_helpers import chunk
from PIL import Image, ImageCms, PngImagePlugin

from adacompress_ref.imaging import read as images
from adacompress_ref.running.live import LiveImage
from adacompress_ref.running.metadata import original

NOISE = np.random.default_rng(0).integers(0, 256, (24, 40, 3), dtype=np.uint8)
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
SECRET = b"SECRET"


def saved(mode, image_format, **options):
    stream = io.BytesIO()
    Image.fromarray(NOISE).convert(mode).save(stream, image_format, **options)
    return stream.getvalue()


def exif():
    block = Image.Exif()
    block[0x010F] = "SECRET"
    return block


def text():
    info = PngImagePlugin.PngInfo()
    info.add_text("Author", "SECRET")
    return info


@pytest.mark.parametrize(
    ("image_format", "mode", "options"),
    [
        ("JPEG", "RGB", {}),
        ("JPEG", "L", {"progressive": True, "dpi": (72, 72)}),
        ("JPEG", "RGB", {"progressive": True, "restart_marker_blocks": 2}),
        ("JPEG", "RGB", {"optimize": True, "subsampling": "4:4:4", "icc_profile": SRGB}),
        ("JPEG", "RGB", {"comment": "SECRET", "xmp": b"<x>SECRET</x>", "exif": exif()}),
        ("PNG", "RGB", {"dpi": (72, 72)}),
        ("PNG", "L", {"icc_profile": SRGB, "exif": exif()}),
        ("PNG", "RGB", {"pnginfo": text()}),
        ("WEBP", "RGB", {}),
        ("WEBP", "RGB", {"lossless": True}),
    ],
)
def test_the_same_pixels_and_nothing_else(image_format, mode, options):
    data = saved(mode, image_format, **options)
    photo = images.read(data)
    bare = original(photo)
    assert np.array_equal(images.read(bare).pixels, photo.pixels)
    assert len(bare) <= len(data) and SECRET not in bare
    info = Image.open(io.BytesIO(bare)).info
    assert not {"exif", "xmp", "icc_profile", "comment", "Author"} & info.keys()
    assert original(images.read(data + b"SECRET\xff\xd9")) == bare  # a trailer


@pytest.mark.parametrize(
    ("image_format", "mode", "options"),
    [
        ("JPEG", "CMYK", {}),
        ("PNG", "P", {}),
        ("PNG", "RGBA", {}),
        ("PNG", "RGB", {"transparency": (1, 2, 3)}),
        ("WEBP", "RGB", {"xmp": b"<x/>"}),
        ("GIF", "L", {}),
        ("TIFF", "RGB", {}),
        ("BMP", "RGB", {}),
        *[(name, "RGB", {"save_all": True, "append_images": [Image.new("RGB", (40, 24))]})
          for name in ("PNG", "WEBP", "MPO")],
    ],
)  # fmt: skip
def test_what_is_never_sent(image_format, mode, options):
    assert original(images.read(saved(mode, image_format, **options))) is None


def test_a_picture_that_is_turned_is_another():
    block = exif()
    for orientation, same in ((1, True), (6, False)):
        block[0x0112] = orientation
        photo = images.read(saved("RGB", "JPEG", exif=block))
        assert (original(photo) is not None) == same


def segments(data):
    """(place, kind, end) of each segment before the first scan."""
    place = 2
    while data[place + 1] != 0xDA:
        end = place + 2 + int.from_bytes(data[place + 2 : place + 4], "big")
        yield place, data[place + 1], end
        place = end


def test_a_jpeg_without_one_of_its_tables_is_read_by_some_alone():
    data = saved("RGB", "JPEG")
    tables = [(start, end) for start, kind, end in segments(data) if kind == 0xC4]
    assert len(tables) == 4
    for start, end in tables:
        assert original(images.read(data[:start] + data[end:])) is None
    bare = re.sub(rb"(?s)\xff\xc4\0\x1f.{29}|\xff\xc4\0\xb5.{179}", b"", data)
    assert original(images.read(bare)) is None


def test_comments_between_and_behind_scans_go():
    data = saved("RGB", "JPEG", progressive=True)
    comment = b"\xff\xfe\0\x08SECRET"
    scans = [match.start() for match in re.finditer(b"\xff\xda", data)]
    assert len(scans) > 3
    with_comments = b"".join(
        data[start:end] + comment
        for start, end in zip([0, *scans], [*scans, len(data) - 2], strict=True)
    )
    photo = images.read(with_comments + data[-2:])
    assert photo.file.count(SECRET) == len(scans) + 1
    assert original(photo) == data


def test_a_private_chunk_goes():
    data = saved("RGB", "PNG")
    assert original(images.read(data[:33] + chunk(b"prVt", SECRET) + data[33:])) == data


def test_with_exif_that_is_kept_the_file_is_not_enough():
    class View:
        encodings, probe, own_tables = (), None, False

    photo = images.read(saved("RGB", "JPEG", exif=exif()))
    assert LiveImage(photo, View, None).payloads.original is not None
    assert LiveImage(photo, View, None, exif=exif().tobytes()).payloads.original is None
    assert LiveImage(photo, View, None, formats=("webp",)).payloads.original is None


# A JPEG that is not whole ------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("options", [{}, {"optimize": True}, {"restart_marker_blocks": 2}], ids=str)
def test_a_jpeg_of_which_data_are_missing_is_refused(mode, options):
    data = saved(mode, "JPEG", quality=90, **options)
    half, most = len(data) // 2, len(data) * 6 // 10
    zeros = data[:most] + bytes(len(data) - most)
    for cut in (data[:-2], data[:-1], data[:half], data[:half] + b"\xff\xd9", zeros):
        with pytest.raises(images.ImageError, match=r"a\.jpg: .*truncated"):
            images.read(cut, name="a.jpg")
    assert images.read(data + b"trailer")


def test_grey_that_is_meant_is_read():
    for mode, grey in (("L", 128), ("RGB", (128, 128, 128))):
        stream = io.BytesIO()
        Image.new(mode, (70, 50), grey).save(stream, "JPEG", quality=95)
        assert (images.read(stream.getvalue()).pixels == 128).all()
