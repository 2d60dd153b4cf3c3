"""What may be sent of a photograph: its bytes exactly, its sizes as nearly as need be."""

import io
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pytest
from PIL import Image

from adacompress_ref.core.config import PRESETS, REFERENCE, TEN_LEVELS, Config, Encoding
from adacompress_ref.imaging import codec
from adacompress_ref.imaging import read as images
from adacompress_ref.imaging.parallel import at_once
from adacompress_ref.storage.files import ImageError
from adacompress_ref.views.payloads import LARGE, Payloads

TUNED, FAST, LADDER = (PRESETS[name] for name in ("tuned", "fast", "ladder"))
JPEG = ("jpeg",)


def scene(width, height, seed=0):
    """Waves and noise, smooth on the left and busy on the right: a PNG, read."""
    draw = np.random.default_rng(seed)
    rows, columns = np.mgrid[:height, :width]
    waves = 128 + 80 * np.sin(rows / 23 + columns / 41) + 30 * np.sin(columns * rows / 9e3)
    noise = draw.normal(0, 25, (height, width)) * columns / width
    grey = (waves + noise).clip(0, 255)[..., None] * [1, 0.9, 0.8]
    stream = io.BytesIO()
    Image.fromarray(grey.astype(np.uint8)).save(stream, "PNG", compress_level=1)
    return images.read(stream.getvalue())


@pytest.fixture(scope="module")
def small():
    return scene(330, 250)


@pytest.fixture(scope="module")
def large():
    return scene(1400, 900)


@pytest.fixture
def encoded(monkeypatch):
    """The list of (size, encoding) that everything encoded from now on is added to."""
    made, encode = [], codec.encode

    def note(picture, encoding, exif=None):
        made.append((picture.size, encoding.name))
        return encode(picture, encoding, exif)

    monkeypatch.setattr(codec, "encode", note)
    return made


class Limited:
    """A service with limits."""

    name = "limited"

    def __init__(self, **limits):
        vars(self).update(limits)


def every(config):
    return list(range(len(config.encodings)))


# What is sent ----------------------------------------------------------------------------------


def test_a_payload_is_made_once_and_is_that_of_images(small, encoded):
    payloads = Payloads(small, TUNED, JPEG)
    for _ in range(2):
        assert payloads.of(1) == ("jpeg-q15", payloads.encoded(TEN_LEVELS[1]))
    assert payloads.reference == payloads.of(7)[1]
    assert encoded == [((330, 250), "jpeg-q15"), ((330, 250), "jpeg-q75")]
    assert payloads.of(1)[1] == codec.encode(small.picture, TEN_LEVELS[1])


@pytest.mark.parametrize("size_sample", [1, 3])
def test_above_the_reference_it_stands_in_and_nothing_is_encoded(small, encoded, size_sample):
    config = TUNED.replace(size_sample=size_sample)
    payloads = Payloads(small, config, JPEG)
    assert [payloads.encoding(action).name for action in (6, 7, 8, 9)] == [
        "jpeg-q65",
        *["jpeg-q75"] * 3,
    ]
    assert payloads.ratios(every(config))[[7, 8, 9]].tolist() == [1, 1, 1]
    for job in payloads.weighings(every(config)):
        job()
    assert [payloads.of(action) for action in (8, 9)] == [("jpeg-q75", payloads.reference)] * 2
    assert not {"jpeg-q85", "jpeg-q95"} & {name for _, name in encoded}
    # it is the preset's state that tells, and the published presets send what they say
    paper = Payloads(small, PRESETS["paper"], JPEG)
    assert paper.encoding(9).name == "jpeg-q95"
    assert paper.of(9) == ("jpeg-q95", codec.encode(small.picture, TEN_LEVELS[9]))


def test_above_the_reference_but_smaller_is_what_it_is(small):
    """A short side, and WebP, may have fewer bytes at any quality."""
    names = ("jpeg-100-q90", "webp-q90")
    config = LADDER.replace(encodings=tuple(map(Encoding.parse, names)))
    payloads = Payloads(small, config, ("jpeg", "webp"))
    assert payloads.encoding(0).name == "jpeg-100-q90"
    assert payloads.of(0) == (names[0], codec.encode(small.picture, Encoding.parse(names[0])))
    webp = codec.encode(small.picture, Encoding.parse(names[1]))
    assert len(webp) > len(payloads.reference)
    assert payloads.of(1) == ("jpeg-q75", payloads.reference)
    expected = [len(payloads.of(0)[1]) / len(payloads.reference), 1]
    assert payloads.ratios([0, 1]).tolist() == expected


def test_the_file_itself_where_it_is_smaller(small):
    file = codec.encode(small.picture, Encoding("jpeg", None, 30))
    photo = images.read(file)
    payloads = Payloads(photo, TUNED, JPEG)
    assert payloads.of(5) == ("original", file)
    assert payloads.of(9) == ("original", file)
    assert payloads.of(0)[0] == "jpeg-q5"
    ratios, reference = payloads.ratios(every(TUNED)), len(payloads.reference)
    assert ratios[[5, 9]].tolist() == [len(file) / reference] * 2
    assert ratios[0] == len(payloads.of(0)[1]) / reference
    other = Payloads(photo, TUNED, ("webp",))  # the file's format is not taken
    assert other.of(5)[0] == "jpeg-q55"


def test_exif_goes_with_every_payload_and_into_every_size(small, large):
    exif = Image.Exif()
    exif[0x010F] = "maker" * 50
    block = exif.tobytes()
    for photo in (small, large):
        bare, kept = Payloads(photo, FAST, JPEG), Payloads(photo, FAST, JPEG, None, block)
        for action in (0, 1, 4):
            assert kept.of(action)[1] == codec.encode(photo.picture, FAST.encodings[action], block)
            more = kept.size(FAST.encodings[action]) - bare.size(FAST.encodings[action])
            assert more == pytest.approx(len(block), abs=8)


def test_what_the_format_cannot_hold_is_closed_and_the_rest_open(encoded):
    stream = io.BytesIO()
    Image.new("L", (17_000, 8)).save(stream, "PNG")
    config = LADDER.replace(encodings=(Encoding("webp", None, 40), Encoding("jpeg", None, 45)))
    payloads = Payloads(images.read(stream.getvalue()), config, ("jpeg", "webp"))
    for job in payloads.weighings([0, 1]):
        job()  # raises nothing
    ratios = payloads.ratios([0, 1])
    assert ratios[0] == np.inf
    assert ratios[1] <= 1
    with pytest.raises(ImageError, match="16383 is the longest side"):
        payloads.of(0)
    with pytest.raises(ImageError, match=r"image: cannot be sent \(webp-q40.*longest side"):
        payloads.ratios([0])
    with pytest.raises(ImageError, match="no encoding in a format taken here: jpeg, webp"):
        payloads.ratios([])


# Sizes -----------------------------------------------------------------------------------------


def test_sizes_of_small_photographs_are_exact(small):
    payloads = Payloads(small, TUNED, JPEG)
    for encoding in TEN_LEVELS:
        assert payloads.size(encoding) == len(codec.encode(small.picture, encoding))


@pytest.mark.parametrize(("preset", "every_row"), [("tuned", 8), ("fast", 8)])
def test_sizes_of_large_photographs_are_near_and_cost_a_sample(large, encoded, preset, every_row):
    config = PRESETS[preset]
    payloads = Payloads(large, config, JPEG)
    ratios = payloads.ratios(every(config))
    rows = len(range(0, 900 - 15, 16 * every_row)) * 16
    whole = [name for size, name in encoded if size == (1400, 900)]
    assert whole == ["jpeg-q5"]  # the probe, which a look needs anyway
    assert {size for size, _ in encoded} == {(1400, 900), (1400, rows)}
    assert len(encoded) == len(set(encoded))  # each once
    reference = len(payloads.reference)
    for action, encoding in enumerate(config.encodings):
        truth = min(len(codec.encode(large.picture, encoding)) / reference, 1)
        assert ratios[action] == pytest.approx(truth, rel=0.04)
        assert payloads.size(encoding) == pytest.approx(
            len(codec.encode(large.picture, encoding)), rel=0.05
        )
    # and what is sent is the whole of it
    assert payloads.of(1)[1] == codec.encode(large.picture, config.encodings[1])


@pytest.mark.parametrize("name", ["small", "large"])
def test_jobs_weigh_each_once_the_longest_first_but_for_the_probe(name, encoded, request):
    photo = request.getfixturevalue(name)
    payloads = Payloads(photo, TUNED, JPEG)
    jobs = payloads.weighings(every(TUNED))
    for job in jobs:
        job()
    expected = [f"jpeg-q{quality}" for quality in (75, 65, 55, 45, 35, 25, 15)]
    assert [encoding for _, encoding in encoded] == expected
    assert len(jobs) == 7
    payloads.ratios(every(TUNED))
    assert [encoding for _, encoding in encoded[7:]] == ["jpeg-q5"]  # what a look makes
    assert len(payloads.weighings([1])) == 2


def test_a_preset_may_estimate_small_ones_too(small):
    exact, near = Payloads(small, FAST.replace(size_sample=1), JPEG), Payloads(small, FAST, JPEG)
    third = codec.sample(small.picture, 3)
    for encoding in FAST.encodings[1:]:
        size = len(codec.encode(small.picture, encoding))
        assert exact.size(encoding) == size
        assert near.size(encoding) == codec.estimate(small.picture, third, encoding) != size
        assert near.size(encoding) == pytest.approx(size, rel=0.08)
        assert near.encoded(encoding) == exact.encoded(encoding)
    for payloads in (exact, near):  # the probe is made anyway
        assert payloads.size(FAST.encodings[0]) == len(payloads.encoded(FAST.encodings[0]))


@pytest.mark.parametrize(
    ("size", "estimated"), [((1024, 1024), False), ((1024, 1025), True), ((2**14, 65), False)]
)
def test_where_large_begins(size, estimated, encoded):
    """Above 2**20 pixels, where there are rows enough to take every eighth."""
    stream = io.BytesIO()
    Image.new("RGB", size, "grey").save(stream, "PNG")
    payloads = Payloads(images.read(stream.getvalue()), TUNED, JPEG)
    payloads.size(REFERENCE)
    assert (encoded[-1][0] != size) == estimated
    assert LARGE == 2**20


def test_webp_and_short_sides_are_never_estimated(large):
    for name in ("webp-q40", "jpeg-300-q40"):
        config = LADDER.replace(encodings=(Encoding("jpeg", None, 45), Encoding.parse(name)))
        payloads = Payloads(large, config, ("jpeg", "webp"))
        for encoding in (*config.encodings, REFERENCE):
            assert payloads.size(encoding) == len(codec.encode(large.picture, encoding))


def test_near_a_limit_sizes_are_exact(large):
    truth = len(codec.encode(large.picture, REFERENCE))
    for most, exact in ((truth - 1, True), (truth + 1, True), (2 * truth, False)):
        payloads = Payloads(large, TUNED, JPEG, Limited(max_bytes=most))
        sizes = [payloads.size(encoding) for encoding in TEN_LEVELS[:8]]
        truths = [len(codec.encode(large.picture, encoding)) for encoding in TEN_LEVELS[:8]]
        assert (sizes == truths) == exact
        usable = np.isfinite(payloads.ratios(every(TUNED)))
        expected = [size <= most for size in truths]
        assert usable.tolist() == [*expected, *[expected[7]] * 2]


def test_with_exif_near_a_limit_sizes_are_exact():
    stream = io.BytesIO()
    Image.linear_gradient("L").resize((1400, 900)).save(stream, "PNG")
    photo = images.read(stream.getvalue())
    exif = b"Exif\0\0" + b"\0" * 60_000
    truth = len(codec.encode(photo.picture, REFERENCE, exif))
    assert truth < 110_000  # more of it EXIF than pixels
    for most, exact in ((truth, True), (2 * truth, False)):
        payloads = Payloads(photo, TUNED, JPEG, Limited(max_bytes=most), exif)
        assert (payloads.size(REFERENCE) == truth) == exact


# Limits of a service ---------------------------------------------------------------------------


@pytest.mark.parametrize("photo", ["small", "large"])
def test_what_is_beyond_a_limit_is_closed(photo, request):
    photo = request.getfixturevalue(photo)
    width, height = photo.picture.size
    sides = (None, height // 2)
    config = LADDER.replace(encodings=tuple(Encoding("jpeg", side, 40) for side in sides))

    def usable(**limits):
        ratios = Payloads(photo, config, JPEG, Limited(**limits)).ratios([0, 1])
        return np.isfinite(ratios).tolist()

    whole, half = (len(codec.encode(photo.picture, each)) for each in config.encodings)
    assert whole > half
    assert usable() == usable(max_bytes=whole, max_side=width, min_side=1) == [True, True]
    assert usable(max_bytes=whole - 1) == [False, True]
    assert usable(max_side=width - 1) == usable(max_pixels=width * height - 1) == [False, True]
    assert usable(min_side=height // 2 + 1) == [True, False]
    with pytest.raises(ImageError, match=r"image: cannot be sent \(limited takes .*this image has"):
        usable(max_side=9)


def test_the_file_itself_is_held_to_the_limits_too(small):
    """Not its encoding, which may be larger."""
    file = codec.encode(small.picture, Encoding("jpeg", None, 30))
    photo = images.read(file)
    action = 5  # quality 55
    for most, usable in ((len(file), True), (len(file) - 1, False)):
        payloads = Payloads(photo, TUNED, JPEG, Limited(max_bytes=most))
        assert np.isfinite(payloads.ratios(every(TUNED))[action]) == usable


# Threads ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("photo", ["small", "large"])
@pytest.mark.parametrize("config", [TUNED, FAST, Config(encodings=TEN_LEVELS)], ids=str)
def test_in_threads_bytes_and_sizes_are_the_same(photo, config, request):
    photo = request.getfixturevalue(photo)
    alone = Payloads(photo, config, JPEG)
    sizes = [alone.size(alone.encoding(action)) for action in every(config)]
    for _ in range(3):
        shared = Payloads(photo, config, JPEG)
        jobs = [partial(shared.of, action) for action in every(config)]
        found = at_once([*shared.weighings(every(config)), *jobs], 4)
        assert found[-len(jobs) :] == [alone.of(action) for action in every(config)]
        assert [shared.size(shared.encoding(action)) for action in every(config)] == sizes


def test_one_photograph_decided_on_by_several_at_once(small):
    def weigh(_):
        return Payloads(small, TUNED, JPEG).ratios(every(TUNED)).tolist()

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(weigh, range(8)))
    assert found == [weigh(None)] * 8
