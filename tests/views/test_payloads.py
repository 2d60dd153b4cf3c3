"""What may be sent of a photograph: its bytes exactly, its sizes as nearly as need be."""

import io
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pytest
from PIL import Image

from adacompress_ref.imaging import codec
from adacompress_ref.imaging import read as images
from adacompress_ref.imaging.encoding import (
    REFERENCE,
    TEN_LEVELS,
    Encoding,
    Limits,
    parse_all,
)
from adacompress_ref.imaging.parallel import at_once
from adacompress_ref.storage.files import ImageError
from adacompress_ref.survival.config import TUNED
from adacompress_ref.views.drift import PROBE
from adacompress_ref.views.payloads import Payloads

FIVE = parse_all(TUNED.encodings)
JPEG, BOTH = Limits(), Limits(formats=("jpeg", "webp"))


def probed(photo, encodings=TEN_LEVELS, limits=JPEG, exif=None, original=None):
    """Payloads as the project's own agent has them."""
    return Payloads(photo, encodings, limits, exif, PROBE, own_tables=True, original=original)


def sent(picture, encoding, exif=None):
    """A payload as the project's own agent sends it."""
    return codec.encode(picture, encoding, exif, own_tables=True)


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

    def note(picture, encoding, exif=None, own_tables=False, method=4):
        standard = "" if own_tables else ", standard"
        made.append((picture.size, f"{encoding.name}{standard}"))
        return encode(picture, encoding, exif, own_tables, method)

    monkeypatch.setattr(codec, "encode", note)
    return made


def every(encodings):
    return list(range(len(encodings)))


# What is sent ----------------------------------------------------------------------------------


def test_a_payload_is_made_once_and_is_that_of_images(small, encoded):
    payloads = Payloads(small, TEN_LEVELS, JPEG)
    for _ in range(2):
        assert payloads.of(1) == ("jpeg-q15", payloads.encoded(TEN_LEVELS[1]))
    assert payloads.reference == payloads.of(7)[1]
    assert [name for _, name in encoded] == ["jpeg-q15, standard", "jpeg-q75, standard"]
    assert payloads.of(1)[1] == codec.encode(small.picture, TEN_LEVELS[1])


def test_above_the_reference_it_stands_in_and_nothing_is_encoded(small, encoded):
    payloads = probed(small)
    ratios = payloads.ratios(every(TEN_LEVELS))
    assert 0.85 < ratios[7] < 1
    assert ratios[[8, 9]].tolist() == [1, 1]
    for job in payloads.weighings(every(TEN_LEVELS)):
        job()
    assert [payloads.of(action) for action in (8, 9)] == [("jpeg-q75", payloads.reference)] * 2
    assert not {"jpeg-q85", "jpeg-q95"} & {name.split(",")[0] for _, name in encoded}
    # without a probe, as in the published presets, what is said is sent
    paper = Payloads(small, TEN_LEVELS, JPEG)
    assert paper.of(9) == ("jpeg-q95", codec.encode(small.picture, TEN_LEVELS[9]))


def test_as_a_rung_quality_75_has_its_own_tables_as_the_reference_not(small):
    payloads = probed(small, FIVE)
    name, payload = payloads.of(4)
    assert (name, payload) == ("jpeg-q75", sent(small.picture, REFERENCE))
    assert payloads.reference == codec.encode(small.picture, REFERENCE)
    assert len(payload) < len(payloads.reference)
    pictures = [np.array(codec.decode(each)) for each in (payload, payloads.reference)]
    np.testing.assert_array_equal(*pictures)
    paper = Payloads(small, FIVE, JPEG)
    assert paper.of(4)[1] is paper.reference


def test_above_the_reference_but_smaller_is_what_it_is(small):
    """A short side, and WebP, may have fewer bytes at any quality."""
    names = ("jpeg-100-q90", "webp-q90")
    payloads = probed(small, parse_all(names), BOTH)
    assert payloads.of(0) == (names[0], codec.encode(small.picture, Encoding.parse(names[0])))
    webp = codec.encode(small.picture, Encoding.parse(names[1]))
    assert len(webp) > len(payloads.reference)
    assert payloads.of(1) == ("jpeg-q75", payloads.reference)
    expected = [len(payloads.of(0)[1]) / len(payloads.reference), 1]
    np.testing.assert_allclose(payloads.ratios([0, 1]), expected, atol=0.05)


def test_the_file_itself_where_it_is_smaller(small):
    file = sent(small.picture, Encoding("jpeg", None, 30))
    photo = images.read(file)
    payloads = probed(photo, original=file)
    assert payloads.of(5) == ("original", file)
    assert payloads.of(9) == ("original", file)
    assert payloads.of(0)[0] == "jpeg-q5"
    ratios, reference = payloads.ratios(every(TEN_LEVELS)), payloads.size(REFERENCE, False)
    assert ratios[[5, 9]].tolist() == [len(file) / reference] * 2
    assert ratios[0] == payloads.size(PROBE) / reference < ratios[5]
    assert probed(photo).of(5)[0] == "jpeg-q55"  # the file may not be sent


def test_exif_goes_with_every_payload_and_into_every_size(small, large):
    exif = Image.Exif()
    exif[0x010F] = "maker" * 50
    block = exif.tobytes()
    for photo in (small, large):
        bare, kept = probed(photo, FIVE), probed(photo, FIVE, exif=block)
        for action in (0, 1, 4):
            assert kept.of(action)[1] == sent(photo.picture, FIVE[action], block)
            more = kept.size(FIVE[action]) - bare.size(FIVE[action])
            assert more == pytest.approx(len(block), abs=8)


@pytest.mark.parametrize("height", [8, 64, 200])
def test_what_the_format_cannot_hold_is_closed_and_the_rest_open(height):
    stream = io.BytesIO()
    Image.new("L", (17_000, height)).save(stream, "PNG")
    payloads = probed(images.read(stream.getvalue()), parse_all(("webp-q40", "jpeg-q45")), BOTH)
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


@pytest.mark.parametrize(("name", "every_row"), [("small", 3), ("large", 4)])
def test_sizes_are_near_and_cost_a_sample(name, every_row, encoded, request):
    photo = request.getfixturevalue(name)
    payloads = probed(photo, FIVE)
    ratios = payloads.ratios(every(FIVE))
    width, height = photo.picture.size
    rows = len(range(0, height - 15, 16 * every_row)) * 16
    assert {each for each, _ in encoded} == {(width if name == "small" else 688, rows)}
    assert len(encoded) == len(set(encoded)) == 6  # each once, and the reference
    sample = codec.sample(photo.picture, every_row)
    reference = len(payloads.reference)
    for action, encoding in enumerate(FIVE):
        payload = sent(photo.picture, encoding)
        assert ratios[action] == pytest.approx(min(len(payload) / reference, 1), rel=0.08)
        estimate = round(codec.estimate(sample, photo.picture.size, encoding, own_tables=True))
        assert payloads.size(encoding) == estimate != len(payload)
        assert estimate == pytest.approx(len(payload), rel=0.08)
        assert payloads.of(action) == (encoding.name, payload)  # what is sent is the whole of it


def test_sizes_without_a_probe_are_exact(small):
    payloads = Payloads(small, TEN_LEVELS, JPEG)
    for encoding in TEN_LEVELS:
        assert payloads.size(encoding) == len(codec.encode(small.picture, encoding))


@pytest.mark.parametrize("name", ["small", "large"])
def test_jobs_weigh_each_once_the_longest_first(name, encoded, request):
    photo = request.getfixturevalue(name)
    payloads = probed(photo)
    jobs = payloads.weighings(every(TEN_LEVELS))
    for job in jobs:
        job()
    expected = [f"jpeg-q{quality}" for quality in (75, 65, 55, 45, 35, 25, 15, 5)]
    assert [encoding for _, encoding in encoded] == ["jpeg-q75, standard", *expected]
    payloads.ratios(every(TEN_LEVELS))
    assert len(jobs) == len(encoded) == 9
    assert len(payloads.weighings([1])) == 2


@pytest.mark.parametrize(
    ("size", "rows"),
    [
        ((16, 16 * 47), 16 * 16),  # every third of 47 rows of blocks
        ((16, 16 * 48), 12 * 16),  # every fourth, as from then on some 12
        ((16, 16 * 187), 13 * 16),  # every fifteenth
        ((90, 47), 47),
        ((90, 48), 16),
    ],
)
def test_of_how_many_rows_sizes_are_estimated(size, rows, encoded):
    stream = io.BytesIO()
    Image.new("RGB", size, "grey").save(stream, "PNG")
    probed(images.read(stream.getvalue()), FIVE).size(REFERENCE, False)
    assert encoded == [((size[0], rows), "jpeg-q75, standard")]


def test_one_webp_of_a_size_tells_of_its_qualities(large, encoded):
    names = ("webp-300-q40", "webp-300-q80", "webp-q60", "jpeg-300-q40")
    payloads = probed(large, parse_all(names), BOTH)
    for job in payloads.weighings([0, 1, 2, 3]):
        job()
    wide = (467, 300)
    asked = {(wide, "jpeg-300-q40"), (wide, "webp-300-q60, standard")}
    rows = {name for size, name in encoded if size not in (wide,)}
    assert asked < set(encoded) and rows == {"webp-q60, standard", "jpeg-q75, standard"}
    assert len(encoded) == 4
    for each in payloads.encodings:
        assert payloads.size(each) == pytest.approx(len(sent(large.picture, each)), rel=0.2)


def test_what_is_larger_than_was_thought_is_not_sent(small, monkeypatch):
    for name, expected in (("webp-q60", "webp-q60"), ("webp-q80", "jpeg-q75")):
        payloads = probed(small, parse_all((name,)), BOTH)
        monkeypatch.setattr(payloads, "size", lambda made, own: 999 + (made == REFERENCE))
        larger = len(sent(small.picture, Encoding.parse(name))) > len(payloads.reference)
        assert (payloads.of(0)[0], larger) == (expected, name == "webp-q80")
    payloads = probed(small, parse_all(("webp-q80",)), BOTH)
    full = payloads.size(REFERENCE, False)
    monkeypatch.setattr(payloads, "size", lambda made, own: full if made == REFERENCE else 1)
    assert payloads.of(0) == ("jpeg-q75", payloads.reference)  # however few were thought


def test_near_a_limit_sizes_are_exact(large):
    truth = len(codec.encode(large.picture, REFERENCE))
    for most, exact in ((truth - 1, True), (truth + 1, True), (2 * truth, False)):
        payloads = probed(large, limits=Limits(max_bytes=most))
        sizes = [payloads.size(encoding) for encoding in TEN_LEVELS[:8]]
        truths = [len(sent(large.picture, encoding)) for encoding in TEN_LEVELS[:8]]
        assert (sizes == truths) == exact
        usable = np.isfinite(payloads.ratios(every(TEN_LEVELS)))
        expected = [size <= most for size in truths]
        assert usable.tolist() == [*expected, *[truth <= most] * 2]


def test_with_exif_near_a_limit_sizes_are_exact():
    stream = io.BytesIO()
    Image.linear_gradient("L").resize((1400, 900)).save(stream, "PNG")
    photo = images.read(stream.getvalue())
    exif = b"Exif\0\0" + b"\0" * 60_000
    truth = len(codec.encode(photo.picture, REFERENCE, exif))
    assert truth < 110_000  # more of it EXIF than pixels
    for most, exact in ((truth, True), (2 * truth, False)):
        payloads = probed(photo, limits=Limits(max_bytes=most), exif=exif)
        assert (payloads.size(REFERENCE, False) == truth) == exact


# Limits of a service ---------------------------------------------------------------------------


@pytest.mark.parametrize("photo", ["small", "large"])
def test_what_is_beyond_a_limit_is_closed(photo, request):
    photo = request.getfixturevalue(photo)
    width, height = photo.picture.size
    sides = (None, height // 2)
    encodings = tuple(Encoding("jpeg", side, 40) for side in sides)

    def usable(**limits):
        ratios = probed(photo, encodings, Limits("limited", **limits)).ratios([0, 1])
        return np.isfinite(ratios).tolist()

    whole, half = (len(sent(photo.picture, each)) for each in encodings)
    assert whole > half
    assert usable() == usable(max_bytes=whole, max_side=width, min_side=1) == [True, True]
    assert usable(max_bytes=whole - 1) == [False, True]
    assert usable(max_side=width - 1) == usable(max_pixels=width * height - 1) == [False, True]
    assert usable(min_side=height // 2 + 1) == [True, False]
    with pytest.raises(ImageError, match=r"image: cannot be sent \(limited takes .*this image has"):
        usable(max_side=9)


def test_the_file_itself_is_held_to_the_limits_too(small):
    """Not its encoding, which may be larger."""
    file = sent(small.picture, Encoding("jpeg", None, 30))
    photo = images.read(file)
    action = 5  # quality 55
    for most, usable in ((len(file), True), (len(file) - 1, False)):
        payloads = probed(photo, limits=Limits(max_bytes=most), original=file)
        assert np.isfinite(payloads.ratios(every(TEN_LEVELS))[action]) == usable


# Threads ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("photo", ["small", "large"])
@pytest.mark.parametrize("probe", [PROBE, None])
def test_in_threads_bytes_and_sizes_are_the_same(photo, probe, request):
    photo = request.getfixturevalue(photo)
    alone = Payloads(photo, TEN_LEVELS, JPEG, None, probe, bool(probe))
    sizes = [alone.size(encoding) for encoding in TEN_LEVELS]
    for _ in range(3):
        shared = Payloads(photo, TEN_LEVELS, JPEG, None, probe, bool(probe))
        jobs = [partial(shared.of, action) for action in every(TEN_LEVELS)]
        found = at_once([*shared.weighings(every(TEN_LEVELS)), *jobs], 4)
        assert found[-len(jobs) :] == [alone.of(action) for action in every(TEN_LEVELS)]
        assert [shared.size(encoding) for encoding in TEN_LEVELS] == sizes


def test_one_photograph_decided_on_by_several_at_once(small):
    def weigh(_):
        return probed(small).ratios(every(TEN_LEVELS)).tolist()

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(weigh, range(8)))
    assert found == [weigh(None)] * 8
