"""PNG: transparency of every depth, colours that are said without a profile."""

import io
import struct
import zlib

import numpy as np
import pytest
from picture_helpers import png
from PIL import Image

from adacompress_ref.imaging import read as images
from adacompress_ref.storage.files import ImageError

SCENE = np.stack(np.mgrid[:21, :26] / np.array([20, 25])[:, None, None], -1)  # of 0 to 1
SCENE = np.concatenate([SCENE, SCENE[..., :1] * SCENE[..., 1:]], -1)


def linear(values):
    """Of sRGB, 0 to 1, by its definition."""
    values = np.asarray(values, float)
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def srgb(values):
    values = np.clip(values, 0, 1)
    return np.where(values <= 0.0031308, 12.92 * values, 1.055 * values ** (1 / 2.4) - 0.055)


@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_a_transparent_grey_is_compared_at_its_own_depth(bits, interlaced):
    top = 2**bits - 1
    samples = np.rint(SCENE[..., :1] * top).astype(np.uint32)
    for clear in {int(samples[5, 7, 0]), 0, top}:
        data = png(samples, bits, 0, [(b"tRNS", struct.pack(">H", clear))], interlaced)
        wanted = np.where(samples == clear, 255, samples * 255 / top)
        assert np.abs(images.read(data).pixels - wanted).max() <= 1


def test_a_transparent_colour():
    samples = np.rint(SCENE * 255).astype(np.uint32)
    clear = samples[5, 7]
    data = png(samples, 8, 2, [(b"tRNS", struct.pack(">3H", *clear))])
    wanted = np.where((samples == clear).all(-1, keepdims=True), 255, samples)
    assert np.array_equal(images.read(data).pixels, wanted)
    deep = png(samples * 257, 16, 2, [(b"tRNS", struct.pack(">3H", *clear * 257))])
    with pytest.raises(ImageError, match=r"a\.png: .*a transparent colour"):
        images.read(deep, name="a.png")


@pytest.mark.parametrize("colour", [0, 2, 4, 6])
def test_linear_light_of_16_bits_is_refused_as_8_of_them_are_too_few(colour):
    channels = {0: 1, 2: 3, 4: 2, 6: 4}[colour]
    samples = np.rint(SCENE[..., [0, 1, 2, 2]][..., :channels] * 0xFFFF).astype(np.uint32)
    with pytest.raises(ImageError, match=r"a\.png: .*linear light"):
        images.read(png(samples, 16, colour, said(1.0)), name="a.png")
    images.read(png(samples, 16, colour, said(0.45455)))
    images.read(png(samples, 16, colour, said(1.0, None, (b"sRGB", b"\0"))))


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_transparent_entries_of_a_palette(bits):
    samples = np.rint(SCENE[..., :1] * (2**bits - 1)).astype(np.uint32)
    palette = bytes(37 * n % 256 for n in range(3 * 2**bits))
    data = png(samples, bits, 3, [(b"PLTE", palette), (b"tRNS", b"\0\x80")])
    colours = np.frombuffer(palette, np.uint8).reshape(-1, 3).astype(float)
    alpha = np.ones((2**bits, 1))
    alpha[:2, 0] = 0, 0x80 / 255
    wanted = (colours * alpha + 255 * (1 - alpha))[samples[..., 0]]
    assert np.abs(images.read(data).pixels - wanted).max() <= 1


# Gamma and chromaticities ------------------------------------------------------------------------

SRGB = 0.3127, 0.329, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06
P3 = 0.3127, 0.329, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06
PRO_PHOTO = 0.3457, 0.3585, 0.7347, 0.2653, 0.1596, 0.8404, 0.0366, 0.0001  # white D50


def said(gamma=None, points=None, *more):
    chunks = list(more)
    if gamma:
        chunks.append((b"gAMA", struct.pack(">I", round(gamma * 1e5))))
    if points:
        chunks.append((b"cHRM", struct.pack(">8I", *(round(value * 1e5) for value in points))))
    return chunks


def matrix(points):
    """Linear RGB to XYZ, of IEC 61966-2-1 for those of sRGB."""
    x, y = np.reshape(points, (4, 2)).T
    columns = np.stack([x / y, np.ones(4), (1 - x - y) / y])
    return columns[:, 1:] * np.linalg.solve(columns[:, 1:], columns[:, 0])


@pytest.mark.parametrize("gamma", [1.0, 1 / 1.8, 0.6, 0.3])
@pytest.mark.parametrize("colour", [0, 2, 3, 6])
def test_gamma(gamma, colour):
    samples = np.rint(SCENE * 255).astype(np.uint32)
    chunks = said(gamma)
    if colour == 0:
        samples = samples[..., :1]
    if colour == 6:
        samples = np.concatenate([samples, np.full((21, 26, 1), 255)], -1)
    wanted = 255 * srgb((samples[..., :3] / 255) ** (1 / gamma))
    if colour == 3:
        chunks.append((b"PLTE", bytes(np.repeat(np.arange(256, dtype=np.uint8), 3))))
        samples = samples[..., :1]
        wanted = wanted[..., :1]
    found = images.read(png(samples, 8, colour, chunks)).pixels
    assert np.abs(found - wanted).max() <= 2


@pytest.mark.parametrize("chunks", [said(0.45455), said(0.4545, SRGB), said(None, SRGB),
                                    said(1.0, P3, (b"sRGB", b"\0"))])  # fmt: skip
def test_what_is_srgb_stays_as_it_is(chunks):
    samples = np.rint(SCENE * 255).astype(np.uint32)
    photo = images.read(png(samples, 8, 2, chunks))
    assert np.array_equal(photo.pixels, samples) and photo.plain_format == "png"


@pytest.mark.parametrize("gamma", [0.45455, 1.0])
def test_chromaticities(gamma):
    """By the matrices of both spaces, whose white is the same."""
    values = 0.3 + 0.4 * SCENE  # within both
    samples = np.rint(values * 255).astype(np.uint32)
    light = (samples / 255) ** (1 / gamma)
    wanted = 255 * srgb(light @ matrix(P3).T @ np.linalg.inv(matrix(SRGB)).T)
    photo = images.read(png(samples, 8, 2, said(gamma, P3)))
    inside = ((wanted > 1) & (wanted < 254)).all(-1)
    assert inside.mean() > 0.7
    assert np.abs(photo.pixels - wanted)[inside].max() <= 2
    assert photo.plain_format is None


def test_another_white_is_white_and_grey_is_grey():
    grey = np.rint(np.linspace(0, 255, 60)).reshape(6, 10, 1).repeat(3, 2).astype(np.uint32)
    found = images.read(png(grey, 8, 2, said(0.45455, PRO_PHOTO))).pixels
    assert (found.max(-1) - found.min(-1).astype(int)).max() <= 1
    assert found[-1, -1].min() >= 254


@pytest.mark.parametrize("chunks", [said(None, (0,) * 8), said(None, (0.3127, 0.329) * 4),
                                    said(20_000.0), [(b"gAMA", bytes(4))]])  # fmt: skip
def test_nonsense_is_passed_over(chunks):
    samples = np.rint(SCENE * 255).astype(np.uint32)
    assert np.array_equal(images.read(png(samples, 8, 2, chunks)).pixels, samples)


ADOBE = *SRGB[:4], 0.21, 0.71, *SRGB[6:]
INTEROPERABILITY = {  # EXIF of either byte order: a directory in a directory that says R03
    "little": b"II*\0\x08\0\0\0\1\0\x69\x87\4\0\1\0\0\0\x1a\0\0\0\0\0\0\0"
    b"\1\0\5\xa0\4\0\1\0\0\0\x2c\0\0\0\0\0\0\0\1\0\1\0\2\0\4\0\0\0R03\0\0\0\0\0",
    "big": b"MM\0*\0\0\0\x08\0\1\x87\x69\0\4\0\0\0\1\0\0\0\x1a\0\0\0\0"
    b"\0\1\xa0\5\0\4\0\0\0\1\0\0\0\x2c\0\0\0\0\0\1\0\1\0\2\0\0\0\4R03\0\0\0\0\0",
}
COLOUR_SPACE = {
    "little": b"II*\0\x08\0\0\0\1\0\x69\x87\4\0\1\0\0\0\x1a\0\0\0\0\0\0\0"
    b"\1\0\1\xa0\3\0\1\0\0\0\2\0\0\0\0\0\0\0",
    "big": b"MM\0*\0\0\0\x08\0\1\x87\x69\0\4\0\0\0\1\0\0\0\x1a\0\0\0\0"
    b"\0\1\xa0\1\0\3\0\0\0\1\0\2\0\0\0\0\0\0",
}


@pytest.mark.parametrize("exif", [*INTEROPERABILITY.values(), *COLOUR_SPACE.values()])
@pytest.mark.parametrize("image_format", ["PNG", "WEBP"])
def test_adobe_rgb_that_exif_says(exif, image_format):
    samples = np.rint((0.3 + 0.4 * SCENE) * 255).astype(np.uint8)
    light = (samples / 255) ** 2.19921875
    wanted = 255 * srgb(light @ matrix(ADOBE).T @ np.linalg.inv(matrix(SRGB)).T)
    for block, right in ((exif, wanted), (exif.replace(b"R03", b"R98"), None)):
        stream = io.BytesIO()
        options = {"lossless": True} if image_format == "WEBP" else {}
        image = Image.fromarray(samples)
        image.save(stream, image_format, exif=b"Exif\0\0" + block, **options)
        found = images.read(stream.getvalue()).pixels
        if right is not None:
            inside = ((right > 1) & (right < 254)).all(-1)
            assert inside.mean() > 0.7 and np.abs(found - right)[inside].max() <= 2
        elif b"R98" in block:
            assert np.array_equal(found, samples)


# Error lines -------------------------------------------------------------------------------------


def test_what_is_wrong_with_a_text_is_said_in_words_of_the_field():
    samples = np.zeros((2, 2, 1), int)
    bomb = b"zTXt", b"key\0\0" + zlib.compress(b"0" * 20_000_000)
    bad = png(samples, 8, 0, [(b"tEXt", b"Author\0someone")])
    bad = bad.replace(b"someone", b"anybody")  # its checksum is the other's
    for data in (png(samples, 8, 0, [bomb]), bad):
        with pytest.raises(ImageError) as caught:
            images.read(data, name="a.png")
        text = str(caught.value)
        assert text.startswith("a.png: cannot be read ")
        assert not any(word in text for word in ("MAX_", "Plugin", "b'"))
