"""E: the tensor that goes in, the map that comes out, its pooling."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from adacompress_ref.imaging.extractor import Extractor, pool, tensor
from adacompress_ref.imaging.read import read
from adacompress_ref.imaging.session import ModelError
from adacompress_ref.storage import artifacts
from adacompress_ref.storage.artifacts import ArtifactError


@pytest.fixture(scope="module")
def extractor():
    return Extractor(threads=1)


def test_tensor_by_hand():
    pixels = np.zeros((10, 20, 3), np.uint8)
    pixels[:, :, 1] = 255
    pixels[:, :, 2] = 51
    made = tensor(Image.fromarray(pixels), "bilinear")
    assert (made.shape, made.dtype) == ((3, 224, 224), np.float32)
    for channel, value in enumerate((-1, 1, 51 / 127.5 - 1)):
        np.testing.assert_allclose(made[channel], value, atol=1e-6)


def test_resizing_is_that_of_the_config():
    pixels = np.zeros((2, 2, 3), np.uint8)
    pixels[:, 1] = 255
    picture = Image.fromarray(pixels)
    assert set(np.unique(tensor(picture, "nearest"))) == {-1, 1}
    assert len(np.unique(tensor(picture, "bilinear"))) > 10


def test_cells_of_the_centre():
    maps = np.arange(50, dtype=np.float32).reshape(1, 2, 5, 5)
    assert pool(maps, "centre").tolist() == [[12, 37]]  # the inner 3 x 3 of 5 x 5
    maps[:, :, 1:4, 1:4] = 7
    assert pool(maps, "centre").tolist() == [[7, 7]]
    assert (
        pool(maps[:, :, :3, :3], "centre").tolist() == pool(maps[:, :, :3, :3], "global").tolist()
    )


def test_a_large_picture_is_reduced_on_its_way_and_looks_the_same():
    waves = Image.fromarray(
        (128 + 100 * np.sin(np.add.outer(np.arange(2100) / 90, np.arange(2800) / 70))).astype("u1")
    ).convert("RGB")
    whole = np.array(waves.resize((224, 224), Image.Resampling.BILINEAR)).transpose(2, 0, 1)
    assert np.abs((tensor(waves, "bilinear") + 1) * 127.5 - whole).max() < 2.1
    nearest = np.array(waves.resize((224, 224), Image.Resampling.NEAREST)).transpose(2, 0, 1)
    np.testing.assert_allclose((tensor(waves, "nearest") + 1) * 127.5, nearest, atol=1e-4)


@pytest.mark.parametrize("resize", ["bilinear", "nearest"])
def test_features_do_not_depend_on_threads(photos, resize):
    view = tensor(read(photos / "hubble.jpg").picture, resize)[None]
    features = [pool(Extractor(threads=n).run(view), "global") for n in (1, 4)]
    np.testing.assert_allclose(*features, rtol=1e-3, atol=1e-3)


def test_pooling_by_hand():
    feature_map = np.arange(2 * 49, dtype=np.float32).reshape(1, 2, 7, 7)
    np.testing.assert_allclose(pool(feature_map, "global"), [[24, 73]], rtol=1e-6)
    # rows 0 to 3 and columns 0 to 3: the mean of 7 row + column is 7 * 1.5 + 1.5
    np.testing.assert_allclose(pool(feature_map, "corner"), [[12, 61]], rtol=1e-6)


def test_maps(extractor):
    pictures = [Image.new("RGB", size, "grey") for size in ((40, 30), (1, 1))]
    maps = extractor.run(np.stack([tensor(each, "bilinear") for each in pictures]))
    assert (maps.shape, maps.dtype) == ((2, 1280, 7, 7), np.float32)
    assert np.isfinite(maps).all()


@pytest.mark.parametrize("side", [96, 160])
def test_maps_at_another_side(extractor, side):
    view = tensor(Image.new("RGB", (40, 30), "grey"), "bilinear", side)
    assert view.shape == (3, side, side)
    assert extractor.run(view[None]).shape == (1, 1280, side // 32, side // 32)


@pytest.mark.parametrize(("at_once", "of_a_run"), [(False, 2), (True, 1)])
def test_threads_share_a_run_or_have_a_run_each(at_once, of_a_run):
    made = Extractor(threads=2, at_once=at_once)
    assert made.threads == 2
    assert made.session.get_session_options().intra_op_num_threads == of_a_run


def test_threads_by_default_are_one_a_core(monkeypatch):
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 2, 3}, raising=False)
    assert Extractor().threads == 3


def test_one_session_serves_several_threads(extractor):
    draw = np.random.default_rng(0)
    views = [draw.uniform(-1, 1, (1, 3, 64, 64)).astype(np.float32) for _ in range(8)]
    with ThreadPoolExecutor(4) as pool_of_threads:
        together = list(pool_of_threads.map(extractor.run, views))
    for view, found in zip(views, together, strict=True):
        np.testing.assert_array_equal(found, extractor.run(view))


def test_its_hash_is_that_of_its_file(extractor):
    assert extractor.sha256 == artifacts.sha256(artifacts.find("mobilenetv2.onnx"))


def test_files_that_cannot_be_used(tmp_path):
    with pytest.raises(ArtifactError, match="no such file"):
        Extractor(tmp_path / "nothing.onnx")
    (tmp_path / "text.onnx").write_text("x")
    with pytest.raises(ModelError, match=r"text\.onnx: not a usable ONNX model"):
        Extractor(tmp_path / "text.onnx")


def test_onnx_runtime_reports_nothing(tmp_path):
    off = ("ORT_DISABLE_TELEMETRY", "CI", "GITHUB_ACTIONS")  # what else keeps it silent
    environment = {name: value for name, value in os.environ.items() if name not in off}
    environment |= {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)}
    code = "from adacompress_ref.imaging.extractor import Extractor; Extractor(threads=1)"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert (done.stderr, list(tmp_path.iterdir())) == ("", [])
