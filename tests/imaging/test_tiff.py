"""TIFF of every depth, layout and photometric interpretation: right by arithmetic, or refused."""

import itertools

import numpy as np
import pytest
from picture_helpers import tiff, two_pictures

from adacompress_ref.imaging import read as images
from adacompress_ref.storage.files import ImageError

ROWS, COLUMNS = np.mgrid[:37, :53]
SCENE = np.stack([COLUMNS / 52, ROWS / 36, (ROWS + COLUMNS) / 88], axis=-1)  # of 0 to 1
OPAQUE = np.ones((37, 53, 1))
GREY = SCENE[..., :1]

# photometric, extra samples, shares of the range that are stored, and what such shares mean
KINDS = [
    (0, None, GREY, lambda share: 1 - share),
    (1, None, GREY, lambda share: share),
    (1, [2], np.concatenate([GREY, OPAQUE], -1), lambda share: share[..., :1]),
    (2, None, SCENE, lambda share: share),
    (2, None, np.concatenate([SCENE, OPAQUE], -1), lambda share: share[..., :3]),
    (2, [0], np.concatenate([SCENE, OPAQUE], -1), lambda share: share[..., :3]),
    (2, [1], np.concatenate([SCENE, OPAQUE], -1), lambda share: share[..., :3]),
    (2, [2], np.concatenate([SCENE, OPAQUE], -1), lambda share: share[..., :3]),
    (5, None, np.concatenate([1 - SCENE, 0 * OPAQUE], -1), lambda share: 1 - share[..., :3]),
]
MUST_BE_READ = {  # photometric, bits
    *itertools.product((0, 1), (1, 2, 4, 8)),
    *[(0, 16), (1, 12), (1, 16), (2, 8), (2, 16), (5, 8), (5, 16)],
}


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("layout", [{}, {"strips": 5}, {"tile": 16}], ids=str)
@pytest.mark.parametrize("more", [{}, {"deflate": True}], ids=str)
@pytest.mark.parametrize("planar", [1, 2])
def test_right_or_refused(order, layout, more, planar):
    read = set()
    for bits, (photometric, extra, stored, meant) in itertools.product(
        (1, 2, 4, 6, 8, 10, 12, 14, 16, 32), KINDS
    ):
        if planar == 2 and stored.shape[2] == 1:
            continue
        top = min(2**bits - 1, 0xFFFF)
        samples = np.rint(stored * top).astype(np.uint32)
        tags = {338: (3, extra)} if extra else {}
        data = tiff(samples, bits, photometric, order, tags, planar=planar, **layout, **more)
        try:
            found = images.read(data).pixels
        except ImageError:
            continue
        assert np.abs(found - 255 * meant(samples / top)).max() <= 2, (bits, photometric, extra)
        read.add((photometric, bits))
    wanted = MUST_BE_READ if planar == 1 else {(2, 8), (2, 16), (5, 8)}
    wanted -= {(0, 16), (1, 12)} if order == ">" else set()  # of which Pillow reads none
    assert wanted <= read


def test_signed_samples_have_no_agreed_range():
    for bits in (8, 16, 32):
        data = tiff(np.full((4, 4, 1), 3), bits, 1, more={339: (3, [2])})
        with pytest.raises(ImageError, match=r"a\.tif: .*signed"):
            images.read(data, name="a.tif")


# Which picture of a file ------------------------------------------------------------------------

SMALL = np.full((4, 6, 3), 200), 8, 2, {254: (4, [1])}
FULL = np.arange(8 * 9 * 3).reshape(8, 9, 3), 8, 2, {254: (4, [0])}


def of(samples, bits, photometric, *_, kind=0):
    return samples, bits, photometric, {254: (4, [kind])}


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("within", [True, False])
def test_the_full_picture_not_its_preview(order, within):
    data = two_pictures(SMALL, [FULL], order, within)
    assert images.read(data).pixels.tolist() == FULL[0].tolist()
    grey = np.arange(0, 256, 4).reshape(8, 8, 1) * 257, 16, 1
    data = two_pictures(SMALL, [of(*grey)], order, within)
    assert images.read(data).pixels[..., 1].tolist() == (grey[0][..., 0] // 257).tolist()


def test_a_full_picture_comes_before_another():
    other = np.zeros((8, 9, 3), int), 8, 2, {254: (4, [1])}
    assert images.read(two_pictures(SMALL, [other, FULL])).pixels.tolist() == FULL[0].tolist()
    assert images.read(two_pictures(of(*FULL), [other])).pixels.tolist() == FULL[0].tolist()
    mask = np.zeros((8, 9, 1), int), 1, 4, {254: (4, [4])}
    assert images.read(two_pictures(SMALL, [mask, FULL])).pixels.tolist() == FULL[0].tolist()


def test_orientation_is_said_by_the_first_directory():
    first = (*SMALL[:3], SMALL[3] | {274: (3, [6])})
    found = images.read(two_pictures(first, [FULL])).pixels
    assert found.tolist() == np.rot90(FULL[0], -1).tolist()


@pytest.mark.parametrize("photometric", [32803, 34892])
@pytest.mark.parametrize("within", [True, False])
def test_a_raw_photograph_is_refused_by_name(photometric, within):
    mosaic = of(np.full((8, 8, 1), 99), 16, photometric)
    for data in (two_pictures(SMALL, [mosaic], within=within), tiff(*mosaic[:3])):
        with pytest.raises(ImageError, match=r"a\.nef: .*a raw photograph: develop it first"):
            images.read(data, name="a.nef")


def test_a_preview_alone_is_the_picture_and_directories_in_a_circle_end():
    alone = tiff(*SMALL[:3], more=SMALL[3])
    assert images.read(alone).pixels.tolist() == SMALL[0].tolist()
    data = two_pictures(SMALL, [(*FULL[:3], SMALL[3])], within=False)
    assert images.read(data).pixels.tolist() == SMALL[0].tolist()
    second = 8 + FULL[0].size
    end = second + 2 + 12 * int.from_bytes(data[second : second + 2], "little")
    circle = data[:end] + data[4:8] + data[end + 4 :]  # the first follows the second
    assert images.read(circle).pixels.tolist() == SMALL[0].tolist()
