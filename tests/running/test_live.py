"""A photograph as the controller sees it: its state, its payloads, and uploads that may fail."""

import io
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

import adacompress_ref as ac
from adacompress_ref import agents
from adacompress_ref.core.roles import Label, Upload
from adacompress_ref.imaging import codec
from adacompress_ref.imaging import read as images
from adacompress_ref.imaging.encoding import REFERENCE, TEN_LEVELS, Encoding
from adacompress_ref.running.live import LiveImage
from adacompress_ref.services import (
    AuthenticationError,
    ProtocolError,
    QuotaError,
    RefusedError,
    ServiceError,
    UnavailableError,
)
from adacompress_ref.survival import drift as numbers
from adacompress_ref.views import drift

TEN_NAMES = tuple(encoding.name for encoding in TEN_LEVELS)
TWO = agents.view_of(ac.preset("paper").replace(encodings=TEN_NAMES[:2]))
PAPER, TUNED, LADDER = (agents.view_of(ac.preset(each)) for each in ("paper", "tuned", "ladder"))
TEN = agents.view_of(ac.preset("tuned").replace(encodings=TEN_NAMES))
RUNGS = LADDER.encodings


@pytest.fixture(scope="module")
def photo(photos):
    return images.read(photos / "clock.jpg")


class Colours:
    """In the place of E: mean and spread of red, green and blue in 16 cells, four times."""

    def __init__(self, threads=1):
        self.threads, self.seen = threads, 0

    def run(self, tensors):
        self.seen += len(tensors)
        pixels = tensors * 127.5 + 127.5
        n, _, side, _ = pixels.shape
        cells = pixels.reshape(n, 3, 4, side // 4, 4, side // 4)
        numbers = np.concatenate([cells.mean((3, 5)), cells.std((3, 5))], axis=1)
        return np.tile(numbers, (1, 4, 1, 1))  # [n, 24, 4, 4]


class Taking:
    """A service that takes these formats."""

    def __init__(self, *formats):
        self.formats = formats

    def label(self, payload):
        return [Label(str(len(payload)), 1.0)]


def scene(kind, height=210, width=330):
    rows, columns = np.mgrid[:height, :width]
    if kind == "noise":
        return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    grey = rows + columns if kind == "ramp" else (rows // 8 + columns // 8) % 2 * 200
    return np.repeat((grey % 256).astype(np.uint8)[:, :, None], 3, axis=2)


@pytest.mark.parametrize("formats", [("jpeg",), ("jpeg", "webp"), ("jpeg", "webp", "png")])
@pytest.mark.parametrize("kind", ["noise", "ramp", "squares"])
@pytest.mark.parametrize("size", [(210, 330), (40, 17), (1, 1)], ids=str)
def test_on_the_ladder_no_payload_costs_more_or_is_larger_than_what_it_stands_for(
    formats, kind, size
):
    pixels = scene(kind, *size)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    photo = images.read(stream.getvalue())
    image = LiveImage(photo, LADDER, Colours(), Taking(*formats))
    state = image.state
    assert state.shape == (len(RUNGS), 9 + len(RUNGS) + 3)
    usable = np.isfinite(state[:, -1])
    assert not np.isnan(state).any()
    assert np.isfinite(state[usable]).all()
    for action in np.flatnonzero(usable):
        name, payload = image.payloads.of(action)
        assert len(payload) <= len(image.payloads.reference)
        near = 1e-6 if size[0] < 48 else 0.25  # estimated: rows of noise and squares are no sample
        ratio = len(payload) / len(image.payloads.reference)
        assert state[action, -1] == pytest.approx(ratio, abs=near)
        assert image.upload(action, False)[0].size == len(payload)
        assert name in (RUNGS[action].name, "jpeg-q75", "original")
        if name != "original":
            width, height = codec.decode(payload).size
            assert (height <= size[0], width <= size[1]) == (True, True)
    rungs = [encoding.name for encoding, open_ in zip(RUNGS, usable, strict=True) if open_]
    assert ("jpeg-160-q20" in rungs) == ("webp" not in formats)
    assert ("webp-160-q40" in rungs) == ("webp" in formats)
    assert "jpeg-q45" in rungs


def test_what_would_cost_more_than_the_reference_is_the_reference():
    image = LiveImage(images.read(noise_png(40)), TEN, Colours())  # too low for estimates
    names = [image.payloads.of(action)[0] for action in (0, 8, 9)]
    assert names == ["jpeg-q5", "jpeg-q75", "jpeg-q75"]
    assert image.payloads.of(9)[1] == image.payloads.reference
    ratios = image.state[6:, -1]
    assert ratios[0] < ratios[1] < 1  # as a rung, quality 75 has its own tables
    assert ratios[2:].tolist() == [1, 1]
    paper = LiveImage(images.read(noise_png(40)), PAPER, Colours())
    assert paper.payloads.of(9)[0] == "jpeg-q95"  # as published


@pytest.mark.parametrize("view", [TUNED, LADDER], ids=["tuned", "ladder"])
def test_a_service_that_takes_no_action_s_format(view):
    image = LiveImage(images.read(noise_png()), view, Colours(), formats=("png",))
    with pytest.raises(images.ImageError, match="cannot be sent") as caught:
        image.state  # noqa: B018
    assert "\n" not in str(caught.value)


def noise_png(height=60):
    stream = io.BytesIO()
    Image.fromarray(scene("noise", height, 90)).save(stream, "PNG")
    return stream.getvalue()


@pytest.mark.parametrize("size", [(17_000, 8), (17_000, 64), (200, 17_000)])
def test_an_image_too_long_for_webp_is_sent_in_another_way(size):
    """WebP has room for 16383 pixels a side, JPEG for 65500."""
    stream = io.BytesIO()
    Image.new("L", size).save(stream, "PNG")
    photo = images.read(stream.getvalue())
    state = LiveImage(photo, LADDER, Colours(), Taking("jpeg", "webp")).state
    assert np.isinf(state[RUNGS.index(Encoding("webp", None, 40)), -1])
    assert np.isfinite(state[RUNGS.index(Encoding("jpeg", None, 45)), -1])


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("view", [TUNED, LADDER, TEN], ids=["tuned", "ladder", "ten"])
def test_a_state_by_hand(photo, view, threads):
    """All of it from pieces, one after the other."""
    seeing = Colours()
    found = LiveImage(photo, view, Colours(threads), formats=("jpeg", "webp")).state
    rows = codec.sample(photo.picture, 3)
    reference = round(codec.estimate(rows, photo.picture.size, REFERENCE))
    ratios = np.ones(len(view.encodings))
    for action, each in enumerate(view.encodings):
        size = each.dimensions(photo.picture.size)
        whole = size == photo.picture.size
        sample = rows if whole else photo.picture.resize(size, Image.Resampling.BILINEAR)
        asked, growth = each, 1.0
        if each.format == "webp":  # one tells of all
            asked, growth = replace(each, quality=60), codec.webp_growth(each.quality)
        estimate = codec.estimate(sample, size, asked, own_tables=True)
        if each.quality <= 75:
            ratios[action] = round(growth * estimate) / reference
    ratios[~view.open_actions(("jpeg", "webp"))] = np.inf
    context = drift.context(seeing, photo.picture, reference)
    np.testing.assert_allclose(found, numbers.rows(context, ratios, np.array(reference)), rtol=1e-6)


@pytest.mark.parametrize(
    ("view", "near", "encoded"),
    [
        (TUNED, False, 1),  # the probe; all are weighed by their size on a sample
        (TUNED, True, 7),  # where a limit of the service is near, all are made, and the reference
        (TEN, True, 10),  # the reference stands for qualities 85 and 95
    ],
)
def test_what_a_state_costs(photo, view, near, encoded, monkeypatch):
    made = []
    encode = codec.encode

    def note(picture, encoding, exif=None, own_tables=False, method=4):
        if picture.size == photo.picture.size:
            made.append((encoding, own_tables))
        return encode(picture, encoding, exif, own_tables, method)

    service = Taking("jpeg")
    if near:
        service.max_bytes = len(encode(photo.picture, REFERENCE))
    monkeypatch.setattr(codec, "encode", note)
    seeing = Colours()
    image = LiveImage(photo, view, seeing, service)
    for _ in range(2):
        image.state  # noqa: B018
    assert seeing.seen == 2  # the image, and what the probe leaves of it
    assert len(made) == len(set(made)) == encoded
    assert max(each.quality for each, _ in made) <= 75
    name, _ = image.payloads.of(0)  # with tables of its own, as it is sent
    assert (name, len(made)) == ("jpeg-q5", encoded if near else encoded + 1)


@pytest.mark.parametrize("view", [TUNED, LADDER], ids=["tuned", "ladder"])
def test_exif_that_is_kept_counts(photo, view):
    exif = Image.Exif()
    exif[0x010F] = "maker" * 100
    block = exif.tobytes()
    bare, kept = (LiveImage(photo, view, Colours(), exif=each) for each in (None, block))
    assert kept.state[0, -1] > bare.state[0, -1]
    for action in np.flatnonzero(np.isfinite(bare.state[:, -1])):
        sent = [len(each.payloads.of(action)[1]) for each in (bare, kept)]
        assert len(block) <= sent[1] - sent[0] <= len(block) + 30  # of headers
    assert kept.payloads.size(REFERENCE) == bare.payloads.size(REFERENCE) + len(block)


def test_an_image_without_a_service_is_not_uploaded(photos):
    with pytest.raises(TypeError, match="without a service"):
        LiveImage(images.read(photos / "clock.jpg"), TWO, None).upload(0, False)


# faults ----------------------------------------------------------------------------------------


class Failing:
    """Answers, or fails, by the size of what it is sent: reference, or compressed."""

    name = "failing"

    def __init__(self, photo, compressed=None, reference=None, **options):
        self.size = len(codec.encode(photo.picture, Encoding("jpeg", None, 75)))
        self.errors = {"compressed": compressed, "reference": reference}
        self.asked = []
        vars(self).update(options)

    def label(self, payload):
        which = "reference" if len(payload) == self.size else "compressed"
        self.asked.append(which)
        if self.errors[which]:
            raise self.errors[which]
        return [Label(which, 0.5)]


def sent(photo, both, **options):
    service = Failing(photo, **options)
    image = LiveImage(photo, TWO, None, service)
    return service, image, image.upload(0, both)


FAILS_OVER = [RefusedError("no"), UnavailableError("away"), ProtocolError("odd")]


@pytest.mark.parametrize("error", FAILS_OVER, ids=repr)
def test_a_compressed_upload_that_fails_falls_back_to_the_reference(photo, error):
    service, image, (compressed, reference) = sent(photo, False, compressed=error)
    size = len(image.payloads.of(0)[1])
    assert compressed == Upload(size, None)
    assert reference == Upload(service.size, [Label("reference", 0.5)])
    assert service.asked == ["compressed", "reference"]
    assert image.fault == str(error)


@pytest.mark.parametrize("error", [AuthenticationError("who"), QuotaError("paid up")], ids=repr)
def test_what_the_reference_cannot_mend_is_raised(photo, error):
    with pytest.raises(type(error)):
        sent(photo, False, compressed=error)


@pytest.mark.parametrize("error", [*FAILS_OVER, QuotaError("paid up")], ids=repr)
def test_a_reference_that_fails_leaves_the_other_answer(photo, error):
    _, image, (compressed, reference) = sent(photo, True, reference=error)
    assert compressed.labels == [Label("compressed", 0.5)]
    assert reference.labels is None
    assert image.fault == str(error)


@pytest.mark.parametrize("both", [False, True])
def test_without_any_answer_the_one_to_wait_for_is_raised(photo, both):
    with pytest.raises(UnavailableError):
        sent(photo, both, compressed=RefusedError("no"), reference=UnavailableError("away"))


def test_an_error_that_is_not_the_service_s_own_is_raised_as_it_is(photo):
    for side_by_side in (False, True):
        with pytest.raises(ZeroDivisionError):
            sent(photo, True, reference=ZeroDivisionError(), side_by_side=side_by_side)


def test_what_is_known_to_be_refused_is_not_sent(photo):
    service, image, (compressed, reference) = sent(photo, False, min_side=1)
    assert service.asked == ["compressed"]
    smallest = len(image.payloads.of(0)[1])
    service, image, (compressed, reference) = sent(photo, True, max_bytes=smallest)
    assert service.asked == ["compressed"]
    assert (compressed.size, reference) == (smallest, Upload(0, None))
    assert "failing takes" in image.fault
    for limits in ({"max_bytes": 10}, {"max_side": 40}, {"min_side": 4000}, {"max_pixels": 900}):
        with pytest.raises(RefusedError, match=r"failing takes .*this image has") as caught:
            sent(photo, True, **limits)
        assert "\n" not in str(caught.value)


def test_levels_beyond_the_limits_are_closed(photo):
    width, height = photo.picture.size
    service = Taking("jpeg", "webp")
    service.max_side = max(height, width) - 1
    state = LiveImage(photo, LADDER, Colours(), service).state
    sides = np.array([each.short_side or 10**6 for each in RUNGS])
    usable = np.isfinite(state[:, -1])
    assert usable.any()
    assert (sides[usable] < min(height, width)).all()
    service.max_side = 100
    with pytest.raises(images.ImageError, match=r"cannot be sent .*sides up to 100"):
        LiveImage(photo, LADDER, Colours(), service).state  # noqa: B018


def test_both_uploads_of_an_estimate_go_side_by_side(photo):
    """Each waits for the other to begin: one after the other would never end."""
    meeting = threading.Barrier(2, timeout=10)

    class Together(Failing):
        side_by_side = True

        def label(self, payload):
            meeting.wait()
            return super().label(payload)

    image = LiveImage(photo, TWO, None, Together(photo))
    compressed, reference = image.upload(0, True)
    assert (compressed.labels[0].name, reference.labels[0].name) == ("compressed", "reference")


def test_times(photo):
    class Slow(Failing):
        def label(self, payload):
            time.sleep(0.05)
            return super().label(payload)

    image = LiveImage(photo, TWO, None, Slow(photo))
    image.upload(0, True)
    assert image.seconds.keys() == {"decision", "encode", "upload"}
    assert image.seconds["upload"] >= 0.1
    assert all(value > 0 for value in image.seconds.values())


@pytest.mark.parametrize(
    ("said", "found"),
    [("jpg", ("jpeg",)), ("JPEG", ("jpeg",)), (["Jpg", "WebP"], ("jpeg", "webp"))],
)
def test_formats_by_other_names(photo, said, found):
    service = Failing(photo, formats=said)
    assert LiveImage(photo, TWO, None, service).payloads.limits.formats == found


def test_a_service_has_to_take_the_reference(photo):
    with pytest.raises(ServiceError, match=r"service failing: formats is \('png',\); .*'jpeg'"):
        LiveImage(photo, TWO, None, Failing(photo, formats=("png",)))


def test_states_of_two_images_are_computed_at_the_same_time(photo):
    """Each waits for the other; one at a time they would wait for ever."""
    together = threading.Barrier(2, timeout=10)

    class Meeting:
        threads = 1

        def run(self, tensors):
            together.wait()
            return np.zeros((1, 1280, 7, 7), np.float32)

    images = [LiveImage(photo, TWO, Meeting()) for _ in range(2)]
    with ThreadPoolExecutor(2) as pool:
        assert [len(state) for state in pool.map(lambda image: image.state, images)] == [1280] * 2
