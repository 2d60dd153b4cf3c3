"""J(x, c) and back, at any size, in any thread; sizes without encoding all of it."""

import io
import os
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, JpegImagePlugin

from adacompress_ref.imaging import codec
from adacompress_ref.imaging import read as images
from adacompress_ref.imaging.encoding import REFERENCE, TEN_LEVELS, Encoding
from adacompress_ref.storage.files import ImageError

pytestmark = pytest.mark.filterwarnings("error")  # no warning may reach the caller

NOISE = np.random.default_rng(0).integers(0, 256, (12, 20, 3), dtype=np.uint8)
RED = (255, 0, 0)


def picture():
    return Image.fromarray(NOISE)


def saved(image, image_format, **options):
    stream = io.BytesIO()
    image.save(stream, image_format, **options)
    return stream.getvalue()


@pytest.mark.parametrize("encoding", TEN_LEVELS, ids=lambda encoding: encoding.name)
def test_jpeg_is_pillows_default(encoding):
    payload = codec.encode(picture(), encoding)
    assert payload == saved(Image.fromarray(NOISE), "JPEG", quality=encoding.quality)
    image = Image.open(io.BytesIO(payload))
    assert JpegImagePlugin.get_sampling(image) == 2  # 4:2:0
    assert "progressive" not in image.info


@pytest.mark.parametrize("quality", [1, 5, 15, 35, 75, 100])
def test_own_tables_have_the_same_pixels_in_fewer_bytes(photos, quality):
    shown = images.read(photos / "coffee.jpg").picture
    encoding = Encoding("jpeg", None, quality)
    own = codec.encode(shown, encoding, own_tables=True)
    standard = codec.encode(shown, encoding)
    assert len(own) < len(standard)
    np.testing.assert_array_equal(np.array(codec.decode(own)), np.array(codec.decode(standard)))
    assert "progressive" not in Image.open(io.BytesIO(own)).info
    for other in (Encoding("webp", None, quality), Encoding("jpeg", 160, quality)):
        assert codec.encode(shown, other, own_tables=True) == codec.encode(shown, other)


@pytest.mark.skipif(not shutil.which("jpegtran"), reason="jpegtran is not installed")
@pytest.mark.parametrize("quality", [5, 15, 35, 75])
def test_own_tables_are_as_good_as_those_of_jpegtran(photos, quality):
    command = ["jpegtran", "-optimize", "-copy", "none"]
    for name in ("chelsea.jpg", "coffee.jpg", "clock.jpg"):
        shown, encoding = images.read(photos / name).picture, Encoding("jpeg", None, quality)
        standard = codec.encode(shown, encoding)
        optimal = subprocess.run(command, input=standard, capture_output=True, check=True).stdout
        assert len(codec.encode(shown, encoding, own_tables=True)) <= 1.01 * len(optimal)
        small = codec.encode(shown, Encoding("jpeg", 160, quality))
        optimal = subprocess.run(command, input=small, capture_output=True, check=True).stdout
        assert len(small) <= 1.01 * len(optimal)


@pytest.mark.parametrize("quality", [75, 85, 90, 95, 100])
def test_own_tables_of_the_worst_noise(quality):
    """Such a file is made in one piece: its buffer must hold it."""
    draw = np.random.default_rng(0)
    noise = Image.fromarray((255 * draw.integers(0, 2, (500, 500, 3))).astype(np.uint8))
    for exif in (None, b"Exif\0\0" + b"\0" * 60_000):
        codec.encode(noise, Encoding("jpeg", None, quality), exif, own_tables=True)


def test_webp_is_lossy_method_4():
    payload = codec.encode(picture(), Encoding("webp", None, 55))
    assert payload == saved(Image.fromarray(NOISE), "WEBP", quality=55, method=4)
    assert payload[12:16] == b"VP8 "


@pytest.mark.parametrize("image_format", ["jpeg", "webp"])
def test_no_metadata_unless_given(image_format):
    photo = images.read(saved(picture(), "JPEG"))
    encoding = Encoding(image_format, None, 50)
    info = Image.open(io.BytesIO(codec.encode(photo.picture, encoding))).info
    assert not {"exif", "xmp", "icc_profile", "comment"} & set(info)
    exif = Image.Exif()
    exif[0x010F] = "maker"
    image = Image.open(io.BytesIO(codec.encode(photo.picture, encoding, exif.tobytes())))
    assert dict(image.getexif()) == {0x010F: "maker"}


@pytest.mark.parametrize("image_format, side", [("jpeg", 65_500), ("webp", 16_383)])
def test_longest_side(image_format, side):
    encoding = Encoding(image_format, None, 5)
    assert codec.encode(Image.new("RGB", (side, 1)), encoding)
    with pytest.raises(ImageError, match="name a smaller size"):
        codec.encode(Image.new("RGB", (1, side + 1)), encoding)
    assert codec.encode(Image.new("RGB", (2, side + 1)), Encoding(image_format, 1, 5))


def test_exif_too_long_for_jpeg():
    exif = b"Exif\0\0" + b"\0" * 65_528
    with pytest.raises(ImageError, match="EXIF data is too long"):
        codec.encode(picture(), Encoding("jpeg", None, 5), exif)
    assert codec.encode(picture(), Encoding("jpeg", None, 5), exif[:-1])
    assert len(codec.encode(picture(), Encoding("webp", None, 5), exif)) > len(exif) - 6


@settings(max_examples=40, deadline=None)
@given(
    width=st.integers(1, 70),
    height=st.integers(1, 70),
    image_format=st.sampled_from(["jpeg", "webp"]),
    short_side=st.none() | st.integers(1, 80),
    quality=st.integers(1, 100),
)
def test_round_trip(width, height, image_format, short_side, quality):
    encoding = Encoding(image_format, short_side, quality)
    plain = Image.new("RGB", (width, height), (200, 200, 200))
    found = codec.decode(codec.encode(plain, encoding))
    assert found.mode == "RGB"
    assert abs(np.array(found).mean() - 200) < 20
    smaller = min(width, height, short_side or 80)
    assert min(found.size) == smaller  # never enlarged
    assert max(found.size) == round(max(width, height) * smaller / min(width, height))
    assert encoding.dimensions((width, height)) == found.size


def test_decode_refuses():
    payload = codec.encode(picture(), Encoding("jpeg", None, 50))
    for bad in (b"", payload[:200], saved(picture(), "GIF")):
        with pytest.raises(ImageError, match=f"payload of {len(bad)} bytes"):
            codec.decode(bad)
    original = saved(picture(), "PNG")  # which may be sent where it is the smallest
    np.testing.assert_array_equal(codec.decode(original), picture())


def test_resized():
    row = Image.fromarray(np.array([[[0] * 3, [100] * 3, [200] * 3, [40] * 3]], np.uint8))

    def resized(*arguments):
        return np.array(codec.resized(row, *arguments))[..., 0].tolist()

    assert resized((2, 1), "nearest") == [[100, 40]]
    assert resized((2, 1), "box") == [[50, 120]]
    # Bilinear, hand-worked: the triangle weighs 3/7, 3/7, 1/7 of the three nearest pixels.
    assert resized((2, 1), "bilinear") == [[71, 117]]
    assert codec.resized(row, (5, 3), "bilinear").size == (5, 3)
    assert resized((1, 1), "box", (1, 0, 3, 1)) == [[150]]


# Several threads, and none of the system's files in memory.

MANY = tuple(map(Encoding.parse, ("jpeg-q5", "jpeg-q50", "jpeg-q75", "jpeg-99-q40", "webp-q40")))


def wavy(width, height):
    """A picture of some detail, [height, width]."""
    rows, columns = np.mgrid[:height, :width]
    waves = [128 + 90 * np.sin(rows * a + columns * b) for a, b in ((0.3, 0.1), (0.2, 0.5), (1, 0))]
    noise = np.random.default_rng(1).normal(0, 12, (height, width, 3))
    return Image.fromarray((np.stack(waves, axis=2) + noise).clip(0, 255).astype(np.uint8))


def test_one_picture_in_several_threads_at_several_qualities():
    shown = wavy(400, 300)
    alone = {encoding: codec.encode(wavy(400, 300), encoding) for encoding in MANY}
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda each: (each, codec.encode(shown, each)), MANY * 12))
    assert all(payload == alone[encoding] for encoding, payload in together)
    assert len(set(alone.values())) == len(MANY)
    assert not hasattr(shown, "encoderinfo")  # nothing is left in it either


def test_where_the_system_has_no_files_in_memory(monkeypatch):
    shown, exif = wavy(90, 60), Image.Exif()
    exif[0x010F] = "maker"
    with_files = [codec.encode(shown, each, exif.tobytes()) for each in MANY]
    monkeypatch.delattr(os, "memfd_create", raising=False)
    assert [codec.encode(shown, each, exif.tobytes()) for each in MANY] == with_files


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="nowhere to count open files")
def test_no_file_in_memory_stays_open(monkeypatch):
    def count():
        return len(os.listdir("/proc/self/fd"))

    before = count()
    for each in MANY:
        codec.encode(wavy(30, 20), each)
    assert count() == before
    monkeypatch.setattr(Image.Image, "save", lambda *_, **__: 1 / 0)
    with pytest.raises(ImageError, match="cannot be encoded"):
        codec.encode(wavy(30, 20), MANY[0])
    assert count() == before


# Smaller, for a look.


@pytest.mark.parametrize(
    ("size", "least", "factor"),
    [
        ((320, 480), 160, 2),
        ((319, 480), 160, 1),
        ((640, 641), 160, 4),
        ((639, 900), 160, 2),
        ((1280, 2000), 160, 8),
        ((2560, 2561), 160, 8),
        ((9000, 9000), 160, 8),  # no further, as JPEG has it
        ((10, 10), 160, 1),
        ((1, 5000), 160, 1),
    ],
)
def test_reduced_as_far_as_the_shorter_side_allows(size, least, factor):
    shown = Image.new("RGB", size, RED)
    found = codec.reduced(shown, least)
    assert found.size == tuple(-(-side // factor) for side in size)
    assert (found is shown) == (factor == 1)
    if max(size) < 3000:
        payload = codec.encode(shown, Encoding("jpeg", None, 50))
        assert codec.decode(payload, least).size == found.size


def test_a_reduced_pixel_is_the_mean_of_a_square():
    squares = np.array([[0, 10, 100, 100], [20, 30, 100, 140], [9, 9, 0, 0], [9, 9, 0, 200]])
    shown = Image.fromarray(np.repeat(squares.astype(np.uint8)[..., None], 3, axis=2))
    assert np.array(codec.reduced(shown, 2))[..., 0].tolist() == [[15, 110], [9, 50]]
    assert np.array(codec.reduced(shown, 1))[..., 0].tolist() == [[46]]
    assert np.array(codec.reduced(shown, 3)).tolist() == np.array(shown).tolist()


@pytest.mark.parametrize("image_format", ["jpeg", "webp"])
def test_decoded_smaller_is_decoded_and_reduced(image_format):
    smooth = Image.fromarray(
        np.repeat(np.add.outer(np.arange(200), np.arange(320))[..., None] // 3, 3, axis=2).astype(
            np.uint8
        )
    )
    payload = codec.encode(smooth, Encoding(image_format, None, 75))
    whole = codec.decode(payload)
    assert whole.size == (320, 200)
    for least, factor in ((100, 2), (50, 4), (40, 4), (25, 8), (3, 8), (101, 1)):
        found = codec.decode(payload, least)
        assert (found.size, found.mode) == ((320 // factor, 200 // factor), "RGB")
        difference = np.array(found, float) - np.array(whole.reduce(factor))
        assert np.abs(difference).max() <= 2, least


def test_a_payload_cut_short_is_refused_at_any_size():
    payload = codec.encode(wavy(320, 200), Encoding("jpeg", None, 50))
    for least in (0, 25):
        with pytest.raises(ImageError, match="not a whole JPEG, WebP or PNG"):
            codec.decode(payload[: len(payload) // 2], least)


# Sizes without encoding all of it.


@pytest.mark.parametrize("offset", [0, 20, 40])
def test_a_page_of_text_has_its_size_estimated_though_its_lines_are_regular(offset):
    page = np.full((2200, 1700, 3), 255, np.uint8)
    letters = np.random.default_rng(0).integers(0, 256, (2200, 1700, 1), np.uint8)
    lines = (np.arange(2200) - offset) % 64 < 24  # one every 64 pixels
    page[lines] = letters[lines]
    shown = Image.fromarray(page)
    small = codec.sample(shown, 8)
    sizes = [len(codec.encode(shown, each)) for each in (Encoding("jpeg", None, 5), REFERENCE)]
    found = [
        codec.estimate(small, shown.size, each) for each in (Encoding("jpeg", None, 5), REFERENCE)
    ]
    assert found[0] / found[1] == pytest.approx(sizes[0] / sizes[1], rel=0.1)
    assert found[1] == pytest.approx(sizes[1], rel=0.2)


def test_a_sample_has_every_so_manieth_row_of_blocks():
    rows = np.repeat(np.arange(100, dtype=np.uint8)[:, None], 5, axis=1)  # [100, 5]
    shown = Image.fromarray(np.repeat(rows[..., None], 3, axis=2))
    every = {
        1: [*range(96)],  # six whole rows of blocks; the last four rows of pixels are none
        2: [*range(16), *range(32, 48), *range(64, 80)],
        3: [*range(16), *range(80, 96)],  # the first of the first three, the last of the others
        6: [*range(16)],
        50: [*range(16)],
    }
    for step, expected in every.items():
        found = np.array(codec.sample(shown, step))
        assert found.shape[1:] == (5, 3)
        assert found[:, 0, 0].tolist() == expected
    assert codec.sample(shown, 3).mode == "RGB"
    assert codec.sample(shown.crop((0, 0, 5, 16)), 8).size == (5, 16)


def test_an_estimate_by_hand(monkeypatch):
    shown = Image.new("RGB", (40, 64))
    sample = codec.sample(shown, 4)
    assert sample.size == (40, 16)
    monkeypatch.setattr(
        codec,
        "encode",
        lambda picture, encoding, own_tables: (
            b"\xff\xda"
            + b"x" * (98 + 100 * own_tables)
            + b"\xff\xda"
            + b"x" * (12 + picture.height)
        ),
    )
    # the header once, and four times as many bytes of pixels as the sample has
    assert codec.estimate(sample, shown.size, REFERENCE) == 100 + 14 + 4 * 16
    assert codec.estimate(sample, shown.size, REFERENCE, own_tables=True) == 200 + 14 + 4 * 16


@pytest.mark.parametrize("own_tables", [False, True])
@pytest.mark.parametrize("quality", [5, 15, 35, 75])
def test_an_estimate_is_near(photos, quality, own_tables):
    encoding = Encoding("jpeg", None, quality)
    for name in ("chelsea.jpg", "coffee.jpg"):
        shown = images.read(photos / name).picture
        size = len(codec.encode(shown, encoding, own_tables=own_tables))
        for every, near in ((1, 0.05), (3, 0.1)):
            sample = codec.sample(shown, every)
            estimate = codec.estimate(sample, shown.size, encoding, own_tables)
            assert estimate == pytest.approx(size, rel=near)


@pytest.mark.parametrize("quality", [20, 40, 60, 80])
def test_an_estimate_of_webp_is_near(photos, quality):
    """At its own size from all of it, at full size from rows."""
    asked = Encoding("webp", None, 60)
    for name in ("astronaut.jpg", "chelsea.jpg", "coffee.jpg", "rocket.jpg"):
        whole = images.read(photos / name).picture
        for shown, every, near in ((whole.resize((240, 160)), 1, 0.15), (whole, 3, 0.3)):
            size = len(codec.encode(shown, Encoding("webp", None, quality)))
            sample = codec.sample(shown, every)
            estimate = codec.estimate(sample, shown.size, asked)
            assert estimate * codec.webp_growth(quality) == pytest.approx(size, rel=near)


def test_webp_grows_with_its_quality():
    growths = [codec.webp_growth(quality) for quality in range(1, 101)]
    assert (np.diff(growths) > 0).all()
    assert codec.webp_growth(60) == 1
    assert codec.webp_growth(50) == pytest.approx(0.885)  # between .77 and 1


def test_of_wide_rows_a_sample_has_parts():
    columns = np.arange(2100) // 16  # a block's number
    shown = Image.fromarray(np.repeat(columns[None].astype(np.uint8), 64, axis=0)).convert("RGB")
    found = np.array(codec.sample(shown, 1))[::16, ::16, 0]
    halves = [list(range(65 * part, 65 * part + 65)) for part in (0, 1, 0, 1)]
    assert found.tolist() == halves  # of four rows, each in two
    assert codec.sample(shown.crop((0, 0, 2100, 48)), 1).size == (2100, 48)


@pytest.mark.parametrize("size", [(3000, 60), (6000, 200), (8000, 300), (1100, 2000)])
def test_an_estimate_of_a_long_picture_is_near(photos, size):
    """Plain on the left, busy on the right, or below."""
    shown = Image.new("RGB", size, "grey")
    busy = images.read(photos / "coffee.jpg").picture
    for left in range(size[0] // 2, size[0], busy.width):
        shown.paste(busy, (left, size[1] - 400))
    every = max(3, size[1] // 16 // 12)
    for quality in (15, 75):
        encoding = Encoding("jpeg", None, quality)
        truth = len(codec.encode(shown, encoding))
        found = codec.estimate(codec.sample(shown, every), size, encoding)
        assert found == pytest.approx(truth, rel=0.35)


@pytest.mark.parametrize("size", [(2000, 1400), (1303, 1297)])
def test_what_quality_5_leaves_of_a_large_picture(photos, size):
    """Near to what a JPEG decoder makes of it at an eighth of its size."""
    for name in ("astronaut.jpg", "coffee.jpg"):
        shown = images.read(photos / name).picture.resize(size, Image.Resampling.BICUBIC)
        small = codec.reduced(shown, 160)
        assert codec.factor(size, 160) == 8
        decoded = codec.decode(codec.encode(shown, Encoding("jpeg", None, 5)), 160)
        found, expected, before = (
            np.asarray(each.crop((0, 0, size[0] // 8, size[1] // 8)), float)
            for each in (codec.coarse(small), decoded, small)
        )
        error = np.abs(found - expected).mean()
        assert error < 3 and error < np.abs(before - expected).mean() / 2


def test_coarse_by_hand():
    grey = Image.new("RGB", (3, 3), (137, 137, 137))
    assert np.unique(codec.coarse(grey)).tolist() == [128]  # 9 of 20 above
    assert np.unique(codec.coarse(Image.new("RGB", (3, 3), (139, 139, 139)))).tolist() == [148]
    ends = [
        np.unique(codec.coarse(Image.new("RGB", (2, 2), colour))) for colour in ("black", "white")
    ]
    assert [end.tolist() for end in ends] == [[8], [248]]


def test_without_a_free_descriptor_it_is_encoded_all_the_same(monkeypatch):
    alone = codec.encode(Image.fromarray(NOISE), REFERENCE)

    def refuse(*_):
        raise OSError(24, "Too many open files")

    monkeypatch.setattr("os.memfd_create", refuse, raising=False)
    assert codec.encode(Image.fromarray(NOISE), REFERENCE) == alone


def test_a_file_written_in_part_is_no_payload(monkeypatch):
    monkeypatch.setattr(
        Image.Image, "save", lambda self, stream, *_, **__: stream.write(b"\xff\xd8")
    )
    with pytest.raises(ImageError, match="written in part"):
        codec.encode(Image.fromarray(NOISE), REFERENCE)
