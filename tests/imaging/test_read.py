import errno
import io
import os
import struct
import subprocess
import sys
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms, PngImagePlugin, features

from adacompress_ref.imaging import codec
from adacompress_ref.imaging import read as images
from adacompress_ref.imaging.encoding import Encoding
from adacompress_ref.storage.files import ImageError

pytestmark = pytest.mark.filterwarnings("error")  # no warning may reach the caller

NOISE = np.random.default_rng(0).integers(0, 256, (12, 20, 3), dtype=np.uint8)
RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def picture(mode="RGB"):
    return Image.fromarray(NOISE).convert(mode)


def saved(image, image_format, **options):
    stream = io.BytesIO()
    image.save(stream, image_format, **options)
    return stream.getvalue()


def pixel(data):
    return tuple(int(value) for value in images.read(data).pixels[0, 0])


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width, height, *chunks):
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + chunk(b"IEND", b"")


# Colour profiles, built byte by byte.


def profile(space, pcs, tags):
    at, table, bodies = 128 + 4 + 12 * len(tags), struct.pack(">I", len(tags)), b""
    for name, body in tags.items():
        body += b"\0" * (-len(body) % 4)
        table += struct.pack(">4sII", name, at + len(bodies), len(body))
        bodies += body
    head = struct.pack(">I4sI4s4s4s12x4s", at + len(bodies), b"none", 0x02400000, b"scnr", space,
                       pcs, b"acsp")  # fmt: skip
    white = struct.pack(">3i", 63190, 65536, 54061)  # D50
    return (head + b"\0" * 28 + white).ljust(128, b"\0") + table + bodies


def xyz(*values):
    return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(value * 65536) for value in values))


def gamma(value):
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(value * 256))


def rgb_profile(red, green, blue):
    curves = dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), gamma(2.2))
    tags = {b"wtpt": xyz(0.6, 0.8, 0.5), b"rXYZ": red, b"gXYZ": green, b"bXYZ": blue}
    return profile(b"RGB ", b"XYZ ", tags | curves)


SRGB_RED = xyz(0.4360, 0.2225, 0.0139)
SRGB_GREEN = xyz(0.3851, 0.7169, 0.0971)
SRGB_BLUE = xyz(0.1431, 0.0606, 0.7141)
SWAPPED = rgb_profile(SRGB_GREEN, SRGB_RED, SRGB_BLUE)  # calls green what everyone calls red
DISPLAY_P3 = rgb_profile(
    xyz(0.5151, 0.2412, -0.0011), xyz(0.2920, 0.6922, 0.0419), xyz(0.1571, 0.0666, 0.7841)
)
LINEAR_GREY = profile(b"GRAY", b"XYZ ", {b"kTRC": gamma(1.0)})


def cyan_alone_is_dark():
    """CMYK to Lab by a table of 2 x 2 x 2 x 2 points: L 20 where there is cyan, else white."""
    identity = bytes(range(256))
    points = b"".join(bytes((51 if node & 8 else 255, 128, 128)) for node in range(16))
    matrix = struct.pack(">9i", 65536, 0, 0, 0, 65536, 0, 0, 0, 65536)
    table = b"mft1\0\0\0\0\4\3\2\0" + matrix + identity * 4 + points + identity * 3
    return profile(b"CMYK", b"Lab ", {b"A2B0": table, b"A2B1": table})


# Reading.


@pytest.mark.parametrize("image_format", ["PNG", "GIF", "BMP", "TIFF", "WEBP", "JPEG"])
def test_each_format_from_path_bytes_and_stream(tmp_path, image_format):
    options = {"WEBP": {"lossless": True}, "JPEG": {"quality": 95}}.get(image_format, {})
    data = saved(picture("L"), image_format, **options)
    (tmp_path / "a").write_bytes(data)
    for source in (tmp_path / "a", str(tmp_path / "a"), data, io.BytesIO(data)):
        photo = images.read(source)
        assert photo.file == data
        assert photo.pixels.shape == (12, 20, 3) and photo.pixels.dtype == np.uint8
        assert photo.pixels.flags.c_contiguous and photo.pixels.flags.writeable
        if image_format != "JPEG":
            assert np.array_equal(photo.pixels, np.array(picture("L").convert("RGB")))


def test_names(tmp_path):
    (tmp_path / "a.png").write_bytes(saved(picture(), "PNG"))
    (tmp_path / "link.png").symlink_to("a.png")
    assert images.read(tmp_path / "link.png").name == str(tmp_path / "link.png")
    assert images.read(saved(picture(), "PNG")).name == "image"
    assert images.read(saved(picture(), "PNG"), name="a\nb\x1b").name == "a\\nb\\x1b"
    with open(tmp_path / "a.png", "rb") as stream:
        assert images.read(stream).name == str(tmp_path / "a.png")


# The corner pixels of a 2 x 3 image, (1 2 / 3 4 / 5 6), set upright by the EXIF standard.
UPRIGHT = {
    1: [[1, 2], [3, 4], [5, 6]],
    2: [[2, 1], [4, 3], [6, 5]],
    3: [[6, 5], [4, 3], [2, 1]],
    4: [[5, 6], [3, 4], [1, 2]],
    5: [[1, 3, 5], [2, 4, 6]],
    6: [[5, 3, 1], [6, 4, 2]],
    7: [[6, 4, 2], [5, 3, 1]],
    8: [[2, 4, 6], [1, 3, 5]],
}


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("image_format", ["PNG", "TIFF", "WEBP", "JPEG"])
def test_orientation(image_format, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010F] = "maker"
    values = np.array(UPRIGHT[1], np.uint8) * 40
    options = {"WEBP": {"lossless": True}, "JPEG": {"quality": 100}}.get(image_format, {})
    photo = images.read(saved(Image.fromarray(values), image_format, exif=exif, **options))
    assert np.abs(photo.pixels[..., 0] - np.array(UPRIGHT[orientation]) * 40.0).max() <= 3
    if image_format != "TIFF":
        assert (photo.plain_format is None) == (orientation > 1)


def test_broken_exif_costs_nothing_but_itself():
    for exif in (
        b"Exif\0\0garbage",
        b"Exif\0\0II*\0\xff\xff\xff\xff",
        b"Exif\0\0MM\0*\0\0\0\x08\0",
    ):
        photo = images.read(saved(picture(), "JPEG", exif=exif))
        assert photo.pixels.shape == (12, 20, 3)


def test_srgb_profile_leaves_pixels():
    assert np.array_equal(images.read(saved(picture(), "PNG", icc_profile=SRGB)).pixels, NOISE)


def test_white_stays_white():  # relative colorimetric: whatever the white of the profile
    white = Image.new("RGB", (1, 1), WHITE)
    assert min(pixel(saved(white, "PNG", icc_profile=SWAPPED))) >= 253


@pytest.mark.parametrize("mode", ["RGB", "P", "RGBA"])
def test_profile_is_converted(mode):
    image = Image.new("RGB", (1, 1), RED).convert(mode)
    red, green, blue = pixel(saved(image, "PNG", icc_profile=SWAPPED))
    assert red <= 2 and green >= 253 and blue <= 2


def test_wide_gamut_is_converted():
    # Hand-worked: green 160 among greys of 120 in Display P3 is greener than sRGB calls 160.
    image = Image.new("RGB", (1, 1), (120, 160, 120))
    red, green, _ = pixel(saved(image, "PNG", icc_profile=DISPLAY_P3))
    assert red < 112 and 160 <= green <= 164


def test_grey_profile_is_converted():
    for mode, options in (("L", {}), ("LA", {}), ("1", {})):
        image = Image.new("L", (1, 1), 255 if mode == "1" else 128).convert(mode)
        expected = 255 if mode == "1" else 188  # 128/255 in linear light, by the sRGB curve
        assert pixel(saved(image, "PNG", icc_profile=LINEAR_GREY, **options))[0] == expected
    red = Image.new("RGB", (1, 1), RED)  # a grey profile cannot speak for colours
    assert pixel(saved(red, "PNG", icc_profile=LINEAR_GREY)) == RED


def test_rgb_profile_on_grey():
    grey = Image.new("L", (1, 1), 128)
    assert abs(pixel(saved(grey, "PNG", icc_profile=SWAPPED))[0] - 128) <= 2


def test_broken_profile_is_ignored():
    photo = images.read(saved(picture(), "PNG", icc_profile=b"not a profile"))
    assert np.array_equal(photo.pixels, NOISE) and photo.plain_format is None


def test_cmyk():
    black = Image.new("CMYK", (8, 8), (0, 255, 255, 255))
    for image_format in ("JPEG", "TIFF"):
        assert max(pixel(saved(black, image_format))) <= 2
        data = saved(black, image_format, icc_profile=cyan_alone_is_dark())
        assert min(pixel(data)) >= 250
        cyan = Image.new("CMYK", (8, 8), (255, 0, 0, 0))
        data = saved(cyan, image_format, icc_profile=cyan_alone_is_dark())
        assert max(pixel(data)) <= 2  # the darkest of the profile is black
    assert pixel(saved(Image.new("CMYK", (8, 8)), "JPEG", icc_profile=SRGB)) == WHITE


@pytest.mark.parametrize("image_format", ["PNG", "TIFF"])
def test_16_bits(image_format):
    values = np.array([[0, 255, 256, 0x1234, 0xFFFF]], np.uint16)
    photo = images.read(saved(Image.fromarray(values), image_format))
    assert photo.pixels[0, :, 0].tolist() == [0, 0, 1, 0x12, 255]


def test_32_bits():
    values = np.array([[0, 256, 0xFFFF]], np.int32)
    for bad in (values, values.astype(np.float32)):
        with pytest.raises(ImageError, match="of more than 16 bits, have no agreed range"):
            images.read(saved(Image.fromarray(bad), "TIFF"))


def test_transparency_lies_on_white():
    assert pixel(saved(Image.new("RGBA", (1, 1), (255, 0, 0, 0)), "PNG")) == WHITE
    assert pixel(saved(Image.new("RGBA", (1, 1), (255, 0, 0, 128)), "PNG")) == (255, 127, 127)
    assert pixel(saved(Image.new("LA", (1, 1), (0, 51)), "PNG")) == (204, 204, 204)
    assert pixel(saved(Image.new("RGB", (1, 1), RED), "PNG", transparency=RED)) == WHITE
    palette = Image.new("P", (2, 1))
    palette.putpalette([255, 0, 0, 0, 255, 0])
    palette.putpixel((1, 0), 1)
    for transparency in (0, b"\0\xff"):
        photo = images.read(saved(palette, "PNG", transparency=transparency))
        assert photo.pixels.tolist() == [[list(WHITE), list(GREEN)]]


def test_one_bit():
    image = Image.fromarray(np.array([[0, 255]], np.uint8)).convert("1")
    assert images.read(saved(image, "PNG")).pixels[0, :, 1].tolist() == [0, 255]


@pytest.mark.parametrize("image_format", ["GIF", "TIFF", "PNG", "WEBP", "MPO"])
def test_first_frame_of_several(image_format):
    frames = [Image.new("RGB", (16, 16), colour) for colour in (RED, GREEN, BLUE)]
    data = saved(frames[0], image_format, save_all=True, append_images=frames[1:])
    red, green, blue = pixel(data)
    assert red > 250 and green < 5 and blue < 5
    assert images.read(data).plain_format is None


@pytest.mark.parametrize("size", [(1, 1), (1, 30), (30, 1), (7, 7)])
@pytest.mark.parametrize("image_format", ["PNG", "GIF", "BMP", "TIFF", "WEBP", "JPEG"])
def test_tiny(image_format, size):
    found = images.read(saved(Image.new("RGB", size, RED), image_format)).picture
    assert (found.size, found.mode) == (size, "RGB")
    for name in ("jpeg-q5", "webp-q5", "jpeg-1-q5", "webp-1-q5"):
        payload = codec.encode(found, Encoding.parse(name))
        codec.decode(payload).load()
        assert min(codec.decode(payload, 160).size) >= 1


@pytest.mark.skipif(not features.check("avif"), reason="Pillow without AVIF")
def test_avif():
    photo = images.read(saved(Image.new("RGB", (30, 20), RED), "AVIF", quality=95))
    assert (photo.picture.size, "avif" in images.ENDINGS) == ((30, 20), True)
    assert np.abs(photo.pixels - np.array(RED)).max() <= 4


def test_heic_is_read_with_its_extra_alone():
    head = b"\0\0\0\x1cftypheic\0\0\0\0mif1heicmiaf" + bytes(99)
    if "heic" not in images.ENDINGS:
        assert "the extra heif: pip install" in refusal(head)
        return
    stream = io.BytesIO()
    pillow_heif = pytest.importorskip("pillow_heif")
    pillow_heif.from_pillow(Image.new("RGB", (64, 48), RED)).save(stream, quality=95)
    assert np.abs(images.read(stream.getvalue()).pixels - np.array(RED)).max() <= 4
    assert "cannot be read" in refusal(head)


# Refusing.


def refusal(source, **options):
    with pytest.raises(ImageError) as caught:
        images.read(source, **options)
    text = str(caught.value)
    assert text.isprintable() and "; " in text
    return text


@pytest.mark.parametrize("image_format", ["PNG", "GIF", "BMP", "TIFF", "WEBP", "JPEG"])
@pytest.mark.parametrize("part", [0.01, 0.1, 0.5, 0.9])
def test_truncated(image_format, part):
    data = saved(picture(), image_format)
    assert "a.jpg: " in refusal(data[: int(part * len(data))], name="a.jpg")


def test_not_an_image(tmp_path):
    assert "empty file" in refusal(b"")
    assert "format not recognised" in refusal(b"just a text\n" * 9)
    assert "format not recognised" in refusal(saved(picture(), "PPM"))
    assert "format not recognised" in refusal(saved(picture(), "PDF"))
    assert "No such file" in refusal(tmp_path / "no\nsuch\udcff.jpg")
    assert "not a regular file" in refusal(tmp_path)
    assert "null" in refusal("a\0b")
    closed = io.BytesIO()
    closed.close()
    assert "closed" in refusal(closed)


def test_what_is_no_regular_file_is_refused_unopened(tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "zero.jpg").symlink_to("/dev/zero")
    monkeypatch.setattr("builtins.open", lambda *_: pytest.fail("opened"))
    for name in ("pipe.jpg", "zero.jpg"):
        assert f"{name}: not a regular file" in refusal(tmp_path / name)


def test_bytearray_and_memoryview():
    data = saved(picture(), "PNG")
    for source in (bytearray(data), memoryview(data), memoryview(bytearray(data))):
        photo = images.read(source)
        assert photo.file == data and type(photo.file) is bytes


@pytest.mark.parametrize("source", [None, 42, NOISE, ["a.jpg"], io.StringIO("text")])
def test_what_is_no_source(source):
    expected = (
        "an image is a path, bytes, a bytearray, a memoryview or a binary stream, "
        f"not {type(source).__name__}"
    )
    with pytest.raises(TypeError) as caught:
        images.read(source)
    assert str(caught.value) == expected


@pytest.mark.parametrize("failure", [MemoryError(), zlib.error("bad"), EOFError()])
def test_a_stream_may_raise_anything(failure):
    class Broken(io.RawIOBase):
        def read(self, _):
            raise failure

    assert (str(failure) or type(failure).__name__) in refusal(Broken())


def test_unreadable(tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    (tmp_path / "a.jpg").touch()
    monkeypatch.setattr("builtins.open", refuse)
    assert "a.jpg: Permission denied" in refusal(tmp_path / "a.jpg")


@pytest.mark.parametrize("side", [7_094, 7_095, 60_000])  # Pillow warns, refuses from 13,378
def test_too_many_pixels_are_refused_before_decoding(side):
    data = png(side, side, chunk(b"IDAT", zlib.compress(b"\0" * 100)))
    assert ("too many pixels" in refusal(data)) == (side > 7_094)
    assert "3 x 2, the limit is 5" in refusal(saved(Image.new("L", (3, 2)), "BMP"), pixel_limit=5)
    assert images.read(saved(Image.new("L", (3, 2)), "BMP"), pixel_limit=6)


def test_pillows_own_limit_is_named():
    for pixel_limit in (images.PIXEL_LIMIT, 10**12):
        text = refusal(png(13_378, 13_378), pixel_limit=pixel_limit)
        assert "too many pixels (Pillow itself refuses more than 178,956,970, whatever" in text


def test_a_file_too_large_is_not_read(tmp_path, monkeypatch):
    with open(tmp_path / "big.png", "wb") as stream:
        stream.truncate(images.FILE_LIMIT + 1)  # sparse
    monkeypatch.setattr("builtins.open", lambda *_: pytest.fail("opened"))
    assert "larger than 512 MiB" in refusal(tmp_path / "big.png")


def test_too_many_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr(images, "FILE_LIMIT", 2**20)
    big = tmp_path / "big.png"
    big.write_bytes(saved(picture(), "PNG") + b"\0" * 2**20)
    for source in (big, big.read_bytes(), io.BytesIO(big.read_bytes())):
        assert "larger than 1 MiB" in refusal(source)


def test_text_bomb():
    bomb = chunk(b"zTXt", b"key\0\0" + zlib.compress(b"0" * 20_000_000))
    assert "too large" in refusal(png(1, 1, bomb, chunk(b"IDAT", zlib.compress(b"\0\0\0\0"))))


def tiff_tag_of_claimed_gigabytes():  # Pillow warns of it
    data = bytearray(saved(picture(), "TIFF", software="x" * 100))
    at = data.index(struct.pack("<HH", 305, 2))
    struct.pack_into("<I", data, at + 4, 0xFFFFFFF0)
    return bytes(data)


def test_tiff_tag_of_claimed_gigabytes():
    assert images.read(tiff_tag_of_claimed_gigabytes()).pixels.shape == (12, 20, 3)


def test_memory_error(monkeypatch):
    def refuse(*_, **__):
        raise MemoryError

    photo = Image.new("RGB", (2, 2))
    for method in ("save", "resize"):
        monkeypatch.setattr(Image.Image, method, refuse)
    with pytest.raises(ImageError, match=r"jpeg-q5: cannot be encoded \(MemoryError\); "):
        codec.encode(photo, Encoding("jpeg", None, 5))
    with pytest.raises(ImageError, match="2 x 2 pixels: MemoryError; "):
        codec.resized(photo, (9, 8), "bicubic")
    monkeypatch.setattr(Image, "open", refuse)
    assert "MemoryError" in refusal(b"any")
    with pytest.raises(ImageError, match="payload of 3 bytes: MemoryError; "):
        codec.decode(b"any")


SMALL = {
    name: saved(Image.fromarray(NOISE[:6, :7]), name, **options)
    for name, options in {
        "JPEG": {"exif": b"Exif\0\0II*\0\x08\0\0\0\1\0\x12\1\3\0\1\0\0\0\6\0\0\0\0\0\0\0"},
        "PNG": {"icc_profile": SWAPPED},
        "WEBP": {"icc_profile": SWAPPED},
        "GIF": {},
        "BMP": {},
        "TIFF": {"compression": "tiff_lzw"},
    }.items()
}


@pytest.mark.parametrize("image_format", SMALL)
@settings(max_examples=250, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_damage_raises_nothing_else(image_format, data):
    damaged = bytearray(SMALL[image_format])
    bits = st.integers(0, 8 * len(damaged) - 1)
    for bit in data.draw(st.lists(bits, max_size=8)):
        damaged[bit // 8] ^= 1 << bit % 8
    del damaged[data.draw(st.integers(len(damaged) // 2, 2 * len(damaged))) :]
    try:
        pixels = images.read(bytes(damaged), pixel_limit=10_000).pixels
    except ImageError as error:
        assert str(error).isprintable()
    else:
        assert pixels.ndim == 3 and pixels.shape[2] == 3 and pixels.dtype == np.uint8


def test_threads_leave_the_warning_filters_alone():
    before = list(warnings.filters)
    files = [tiff_tag_of_claimed_gigabytes(), SMALL["JPEG"]] * 20
    with ThreadPoolExecutor(4) as pool:
        assert len(list(pool.map(images.read, files))) == 40
    assert warnings.filters == before


# Memory.

LARGEST = """
import io, sys
from pathlib import Path
from PIL import Image
from adacompress_ref.imaging import read as images
mode, image_format, part, clear = sys.argv[1:]
side = int((images.PIXEL_LIMIT / int(part)) ** 0.5)
options = {"exif": b"Exif\\0\\0II*\\0\\x08\\0\\0\\0\\1\\0\\x12\\1\\3\\0\\1\\0\\0\\0\\6" + bytes(7)}
options["icc_profile"] = Path("profile").read_bytes()
options |= {"transparency": (0, 0, 0) if mode == "RGB" else 0} if clear == "clear" else {}
stream = io.BytesIO()
Image.new(mode, (side, side)).save(stream, image_format, compress_level=1, **options)
data = stream.getvalue()
del stream
Path("/proc/self/clear_refs").write_text("5")
photo = images.read(data)
print(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "case",
    ["LA PNG 1 -", "RGBA PNG 1 -", "P PNG 1 clear", "L PNG 1 clear", "I;16 PNG 1 clear",
     "RGB PNG 2 clear", "RGB JPEG 1 -", "CMYK JPEG 1 -", "RGBA TIFF 2 -", "LA TIFF 2 -"],
)  # fmt: skip
def test_the_largest_image_of_each_mode_takes_less_than_a_gigabyte(case, tmp_path):
    (tmp_path / "profile").write_bytes(DISPLAY_P3)
    if not Path("/proc/self/clear_refs").exists():
        pytest.skip("no way to measure it")
    command = [sys.executable, "-c", LARGEST, *case.split()]
    paths = os.environ | {"PYTHONPATH": str(Path(images.__file__).parents[2])}
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=paths)
    assert (done.returncode, done.stderr) == (0, "")
    assert int(done.stdout) * 1024 < 10**9


# What is left.


def test_a_photograph_holds_a_picture_and_nothing_else():
    photo = images.read(saved(picture(), "JPEG", dpi=(72, 72), icc_profile=SRGB, comment="c"))
    assert (photo.picture.mode, photo.picture.size, photo.picture.info) == ("RGB", (20, 12), {})
    pixels = photo.pixels
    pixels[:] = 7  # a copy
    assert not (photo.pixels == 7).all()


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP"])
def test_a_photo_holds_no_decoder(image_format):
    assert type(images.read(saved(picture(), image_format)).picture) is Image.Image


def metadata():
    info = PngImagePlugin.PngInfo()
    info.add_text("comment", "SECRET")
    exif = Image.Exif()
    exif[0x010F] = "SECRET"
    secret = profile(b"RGB ", b"XYZ ", {b"desc": b"SECRET"})  # broken, and kept by nobody
    common = {"dpi": (301, 301), "exif": exif, "icc_profile": SWAPPED}
    yield "JPEG", common | {"comment": "SECRET", "xmp": b"<x>SECRET</x>"}
    yield "JPEG", {"icc_profile": secret}
    yield "PNG", common | {"pnginfo": info}
    yield "WEBP", {"exif": exif, "icc_profile": SWAPPED, "xmp": b"<x>SECRET</x>"}
    yield "TIFF", common | {"description": "SECRET"}
    yield "GIF", {"comment": b"SECRET"}


@pytest.mark.parametrize(("source", "options"), list(metadata()))
@pytest.mark.parametrize("name", ["jpeg-q50", "jpeg-9-q50", "webp-q50", "webp-9-q50"])
def test_what_a_file_said_of_itself_reaches_no_payload(source, options, name):
    photo = images.read(saved(picture(), source, **options))
    payload = codec.encode(photo.picture, Encoding.parse(name))
    bare = codec.encode(Image.fromarray(photo.pixels), Encoding.parse(name))
    assert payload == bare
    assert b"SECRET" not in payload
    info = Image.open(io.BytesIO(payload)).info
    assert not {"exif", "xmp", "icc_profile", "comment"} & set(info)
    assert info.get("dpi", (72, 72)) != (301, 301)
