"""Weight files: where they are looked for."""

import pytest
from weights_helpers import sha256

from adacompress_ref.storage import artifacts
from adacompress_ref.storage.artifacts import ArtifactError

pytestmark = pytest.mark.usefixtures("places")


# Finding ---------------------------------------------------------------------------------------


def test_search_order(places, monkeypatch):
    order = [places / "named", places / "shipped", places / "cache" / "adacompress_ref"]
    for folder in order:
        (folder / "x.onnx").write_bytes(b"x")
    (places / "own.onnx").write_bytes(b"x")
    assert artifacts.find("x.onnx", places / "own.onnx") == places / "own.onnx"
    for folder in order:
        assert artifacts.find("x.onnx") == folder / "x.onnx"
        (folder / "x.onnx").unlink()
    with pytest.raises(ArtifactError) as caught:
        artifacts.find("x.onnx")
    assert all(str(folder) in str(caught.value) for folder in order)
    monkeypatch.setenv("ADACOMPRESS_WEIGHTS", "")
    with pytest.raises(ArtifactError, match=f"none of: {order[1]}, {order[2]}"):
        artifacts.find("x.onnx")


def test_a_named_file_that_is_not_there_is_not_looked_for_elsewhere(places):
    (places / "shipped" / "x.onnx").write_bytes(b"x")
    with pytest.raises(ArtifactError, match=r"nowhere/x\.onnx: there is no such file"):
        artifacts.find("x.onnx", places / "nowhere" / "x.onnx")


def test_the_cache_is_below_the_home_folder_by_default(places, monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(places))
    assert artifacts.cache_folder() == places / ".cache" / "adacompress_ref"


# Reading ---------------------------------------------------------------------------------------


def test_a_file_that_changes_is_hashed_again(places):
    path = places / "x"
    path.write_bytes(b"one")
    assert artifacts.sha256(path) == sha256(b"one")
    path.write_bytes(b"three")
    assert artifacts.sha256(path) == sha256(b"three")


def test_weights_beside_a_copy_are_its_own_only_with_a_manifest(tmp_path, monkeypatch):
    monkeypatch.undo()  # the fixture's folders
    monkeypatch.setattr(artifacts, "_PACKAGE", tmp_path / "codec")
    (tmp_path / "weights").mkdir()
    assert artifacts.shipped_folder() == tmp_path / "codec" / "weights"  # another project's
    (tmp_path / "weights" / "manifest.json").touch()
    assert artifacts.shipped_folder() == tmp_path / "weights"  # as in a checkout
    (tmp_path / "codec" / "weights").mkdir(parents=True)
    assert artifacts.shipped_folder() == tmp_path / "codec" / "weights"
