"""Weight files: where they are looked for, whether they are whole, how another is had."""

import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from adacompress_ref.imaging.sidecar import Fields, Normalisation, beside
from adacompress_ref.storage import artifacts
from adacompress_ref.storage.artifacts import ArtifactError

BODY = b"the weights"


@pytest.fixture(autouse=True)
def places(tmp_path, monkeypatch):
    """Empty folders in the place of all that are searched; `shipped` has a manifest."""
    for name in ("named", "shipped", "cache/adacompress_ref"):
        (tmp_path / name).mkdir(parents=True)
    monkeypatch.setenv("ADACOMPRESS_WEIGHTS", str(tmp_path / "named"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("ADACOMPRESS_OFFLINE", raising=False)
    monkeypatch.setattr(artifacts, "shipped_folder", lambda: tmp_path / "shipped")
    write_manifest(tmp_path, {}, {})
    return tmp_path


def write_manifest(places, files, fetch):
    text = json.dumps({"format": 1, "files": files, "fetch": fetch})
    (places / "shipped" / "manifest.json").write_text(text)


def sha256(data):
    return hashlib.sha256(data).hexdigest()


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


# Verifying -------------------------------------------------------------------------------------


def test_verify_finds_a_changed_byte_and_a_missing_file(places):
    data = bytes(range(100))
    files = {name: {"sha256": sha256(data)} for name in ("whole", "changed", "missing")}
    write_manifest(places, files, {})
    (places / "shipped" / "whole").write_bytes(data)
    (places / "shipped" / "changed").write_bytes(data[:50] + b"\0" + data[51:])
    found = dict(artifacts.verify())
    assert list(found) == ["changed", "missing", "whole"]
    assert found["whole"] is None
    assert "shipped/changed: SHA-256 differs" in found["changed"]
    assert "none of" in found["missing"]


def test_a_file_that_changes_is_hashed_again(places):
    path = places / "x"
    path.write_bytes(b"one")
    assert artifacts.sha256(path) == sha256(b"one")
    path.write_bytes(b"three")
    assert artifacts.sha256(path) == sha256(b"three")


def test_a_damaged_manifest(places):
    (places / "shipped" / "manifest.json").write_text("{")
    with pytest.raises(ArtifactError, match=r"manifest\.json: damaged"):
        artifacts.manifest()


# Fetching --------------------------------------------------------------------------------------


@pytest.fixture
def server(places):
    """A local server of `/good`, and the list of what was asked for."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_response(200 if self.path == "/good" else 404)
            self.send_header("Content-Length", str(len(BODY)))
            self.end_headers()
            self.wfile.write(BODY)

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{running.server_port}"
        entry = {"file": "x.onnx", "sha256": sha256(BODY), "sidecar": {"mean": 0.5, "std": 0.5}}
        fetch = {
            "good": {**entry, "url": f"{url}/good"},
            "other": {**entry, "url": f"{url}/good", "sha256": sha256(b"other")},
            "gone": {**entry, "url": f"{url}/gone"},
        }
        write_manifest(places, {}, fetch)
        yield asked
        running.shutdown()


def cached(places):
    return [path.name for path in (places / "cache" / "adacompress_ref").iterdir()]


def test_fetch_once(places, server):
    path = artifacts.fetch("good")
    assert path == places / "cache" / "adacompress_ref" / "x.onnx"
    assert path.read_bytes() == BODY
    assert artifacts.fetch("good") == path == artifacts.find("x.onnx")
    assert server == ["/good"]
    assert Normalisation.read(Fields(beside(path))).scale == 1 / 255


def test_a_damaged_file_in_the_cache_is_fetched_again(places, server):
    (places / "cache" / "adacompress_ref" / "x.onnx").write_bytes(b"half of")
    assert artifacts.fetch("good").read_bytes() == BODY


def test_another_hash_leaves_nothing_behind(places, server):
    with pytest.raises(ArtifactError, match="another SHA-256"):
        artifacts.fetch("other")
    assert cached(places) == []


def test_a_file_that_the_server_does_not_have(places, server):
    with pytest.raises(ArtifactError, match="gone: the download failed"):
        artifacts.fetch("gone")
    assert cached(places) == []


def test_no_server(places):
    entry = {"file": "x", "sha256": "0", "url": "http://127.0.0.1:9/x"}
    write_manifest(places, {}, {"x": entry})
    with pytest.raises(ArtifactError, match=r"download failed \(ConnectionError\)"):
        artifacts.fetch("x")


def test_offline(places, server, monkeypatch):
    monkeypatch.setenv("ADACOMPRESS_OFFLINE", "1")
    with pytest.raises(ArtifactError, match="ADACOMPRESS_OFFLINE=1 forbids"):
        artifacts.fetch("good")
    assert server == []
    (places / "cache" / "adacompress_ref" / "x.onnx").write_bytes(BODY)
    assert artifacts.fetch("good").read_bytes() == BODY  # it is here already


def test_a_name_that_the_manifest_does_not_know(places, server):
    with pytest.raises(ArtifactError, match="there are: good, other, gone"):
        artifacts.fetch("best")


def test_weights_beside_a_copy_are_its_own_only_with_a_manifest(tmp_path, monkeypatch):
    monkeypatch.undo()  # the fixture's folders
    monkeypatch.setattr(artifacts, "_PACKAGE", tmp_path / "codec")
    (tmp_path / "weights").mkdir()
    assert artifacts.shipped_folder() == tmp_path / "codec" / "weights"  # another project's
    (tmp_path / "weights" / "manifest.json").touch()
    assert artifacts.shipped_folder() == tmp_path / "weights"  # as in a checkout
    (tmp_path / "codec" / "weights").mkdir(parents=True)
    assert artifacts.shipped_folder() == tmp_path / "codec" / "weights"
