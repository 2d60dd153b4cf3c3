"""The view of the paper's agent: s = E(x), pooled as its preset has it."""

import numpy as np
import pytest
from PIL import Image

import adacompress_ref as ac
from adacompress_ref.imaging.encoding import Limits
from adacompress_ref.imaging.extractor import Extractor, tensor
from adacompress_ref.imaging.read import read
from adacompress_ref.views.payloads import Payloads

VIEWS = {name: ac.view_of(ac.preset(name)) for name in ("paper", "authors")}


@pytest.fixture(scope="module")
def extractor():
    return Extractor(threads=1)


def state(view, photo, extractor):
    return view.of_photo(photo, Payloads(photo, view.encodings, Limits()), extractor)


@pytest.mark.parametrize(("name", "cells"), [("paper", 7), ("authors", 4)])
def test_a_state_is_the_mean_of_the_cells_that_the_preset_pools(photos, extractor, name, cells):
    view, photo = VIEWS[name], read(photos / "chelsea.jpg")
    found = state(view, photo, extractor)
    (feature_map,) = extractor.run(tensor(photo.picture, view.config.resize)[None])
    assert (found.shape, found.dtype) == ((view.inputs,), np.float32) == ((1280,), np.float32)
    means = feature_map[:, :cells, :cells].mean(axis=(1, 2))
    np.testing.assert_allclose(found, means, rtol=1e-3, atol=1e-4)


def test_presets_see_different_states(photos, extractor):
    photo = read(photos / "chelsea.jpg")
    paper, authors = (state(view, photo, extractor) for view in VIEWS.values())
    assert np.abs(paper - authors).max() > 0.1


@pytest.mark.parametrize("name", VIEWS)
def test_one_pixel(tmp_path, extractor, name):
    Image.new("RGB", (1, 1)).save(tmp_path / "one.png")
    assert np.isfinite(state(VIEWS[name], read(tmp_path / "one.png"), extractor)).all()


@pytest.mark.parametrize("name", VIEWS)
def test_a_row_of_a_table_is_what_the_photograph_gave(photos, photo_table, extractor, name):
    table, view = ac.Table.load(photo_table), VIEWS[name]
    row = table.images.index("clock.jpg")
    found = state(view, read(photos / "clock.jpg"), extractor)
    np.testing.assert_allclose(view.of_table(table, row), found, rtol=1e-3, atol=1e-3)
    assert view.of_table(table).shape == (12, 1280)


def test_a_stamp_says_how_states_are_made():
    for view, made in zip(VIEWS.values(), ("bilinear global", "nearest corner"), strict=True):
        resize, pooling = made.split()
        expected = {"sha256": "x", "input_size": 224, "resize": resize, "pooling": pooling}
        assert view.stamp("x") == expected
