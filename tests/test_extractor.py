"""E: the tensor that goes in, the map that comes out, its pooling."""

import numpy as np
import pytest

from adacompress_ref import artifacts
from adacompress_ref.artifacts import ArtifactError
from adacompress_ref.config import PRESETS, Config
from adacompress_ref.extractor import Extractor, pool, tensor
from adacompress_ref.onnx_session import ModelError


@pytest.fixture(scope="module")
def extractor():
    return Extractor(threads=1)


def test_tensor_by_hand():
    pixels = np.zeros((10, 20, 3), np.uint8)
    pixels[:, :, 1] = 255
    pixels[:, :, 2] = 51
    made = tensor(pixels, "bilinear")
    assert (made.shape, made.dtype) == ((3, 224, 224), np.float32)
    for channel, value in enumerate((-1, 1, 51 / 127.5 - 1)):
        np.testing.assert_allclose(made[channel], value, atol=1e-6)


def test_resizing_is_that_of_the_config():
    pixels = np.zeros((2, 2, 3), np.uint8)
    pixels[:, 1] = 255
    assert set(np.unique(tensor(pixels, "nearest"))) == {-1, 1}
    assert len(np.unique(tensor(pixels, "bilinear"))) > 10


def test_pooling_by_hand():
    feature_map = np.arange(2 * 49, dtype=np.float32).reshape(1, 2, 7, 7)
    np.testing.assert_allclose(pool(feature_map, "global"), [[24, 73]])
    # rows 0 to 3 and columns 0 to 3: the mean of 7 row + column is 7 * 1.5 + 1.5
    np.testing.assert_allclose(pool(feature_map, "corner"), [[12, 61]])


def test_maps_and_states(extractor):
    pixels = [np.full((30, 40, 3), value, np.uint8) for value in (0, 200)]
    maps = extractor.maps(pixels, "bilinear")
    assert (maps.shape, maps.dtype) == ((2, 1280, 7, 7), np.float32)
    for row, image in enumerate(pixels):
        state = extractor.state(image, Config())
        assert (state.shape, state.dtype) == ((1280,), np.float32)
        np.testing.assert_allclose(state, maps[row].mean(axis=(1, 2)), rtol=1e-3, atol=1e-4)


def test_presets_see_different_states(extractor, photos):
    from adacompress_ref.images import read

    pixels = read(photos / "chelsea.jpg").pixels
    states = [extractor.state(pixels, PRESETS[name]) for name in ("paper", "authors")]
    assert np.abs(states[0] - states[1]).max() > 0.1


def test_one_pixel(extractor):
    assert np.isfinite(extractor.state(np.zeros((1, 1, 3), np.uint8), Config())).all()


@pytest.mark.parametrize("side", [96, 160])
def test_maps_at_another_side(extractor, side):
    pixels = [np.full((30, 40, 3), 90, np.uint8)]
    assert extractor.maps(pixels, "bilinear", side).shape == (1, 1280, side // 32, side // 32)


def test_its_hash_is_that_of_its_file(extractor):
    assert extractor.sha256 == artifacts.sha256(artifacts.find("mobilenetv2.onnx"))


def test_files_that_cannot_be_used(tmp_path):
    with pytest.raises(ArtifactError, match="no such file"):
        Extractor(tmp_path / "nothing.onnx")
    (tmp_path / "text.onnx").write_text("x")
    with pytest.raises(ModelError, match=r"text\.onnx: not a usable ONNX model"):
        Extractor(tmp_path / "text.onnx")


def test_a_model_without_a_feature_map_is_refused():
    with pytest.raises(ModelError, match=r"squeezenet1_1\.onnx"):
        Extractor(artifacts.find("squeezenet1_1.onnx"))
