"""`weights`: whether the files are whole, how another is had."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from weights_helpers import sha256, write_manifest

from adacompress_ref.cli import weights
from adacompress_ref.imaging.sidecar import Fields, Normalisation, beside
from adacompress_ref.storage import artifacts
from adacompress_ref.storage.artifacts import ArtifactError

BODY = b"the weights"

pytestmark = pytest.mark.usefixtures("places")


# Verifying -------------------------------------------------------------------------------------


def test_verify_finds_a_changed_byte_and_a_missing_file(places):
    data = bytes(range(100))
    files = {name: {"sha256": sha256(data)} for name in ("whole", "changed", "missing")}
    write_manifest(places, files, {})
    (places / "shipped" / "whole").write_bytes(data)
    (places / "shipped" / "changed").write_bytes(data[:50] + b"\0" + data[51:])
    found = dict(weights.verify())
    assert list(found) == ["changed", "missing", "whole"]
    assert found["whole"] is None
    assert "shipped/changed: SHA-256 differs" in found["changed"]
    assert "none of" in found["missing"]


def test_a_damaged_manifest(places):
    (places / "shipped" / "manifest.json").write_text("{")
    with pytest.raises(ArtifactError, match=r"manifest\.json: damaged"):
        weights.manifest()


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
    path = weights.fetch("good")
    assert path == places / "cache" / "adacompress_ref" / "x.onnx"
    assert path.read_bytes() == BODY
    assert weights.fetch("good") == path == artifacts.find("x.onnx")
    assert server == ["/good"]
    assert Normalisation.read(Fields(beside(path))).scale == 1 / 255


def test_a_damaged_file_in_the_cache_is_fetched_again(places, server):
    (places / "cache" / "adacompress_ref" / "x.onnx").write_bytes(b"half of")
    assert weights.fetch("good").read_bytes() == BODY


def test_another_hash_leaves_nothing_behind(places, server):
    with pytest.raises(ArtifactError, match="another SHA-256"):
        weights.fetch("other")
    assert cached(places) == []


def test_a_file_that_the_server_does_not_have(places, server):
    with pytest.raises(ArtifactError, match="gone: the download failed"):
        weights.fetch("gone")
    assert cached(places) == []


def test_no_server(places):
    entry = {"file": "x", "sha256": "0", "url": "http://127.0.0.1:9/x"}
    write_manifest(places, {}, {"x": entry})
    with pytest.raises(ArtifactError, match=r"download failed \(ConnectionError\)"):
        weights.fetch("x")


def test_offline(places, server, monkeypatch):
    monkeypatch.setenv("ADACOMPRESS_OFFLINE", "1")
    with pytest.raises(ArtifactError, match="ADACOMPRESS_OFFLINE=1 forbids"):
        weights.fetch("good")
    assert server == []
    (places / "cache" / "adacompress_ref" / "x.onnx").write_bytes(BODY)
    assert weights.fetch("good").read_bytes() == BODY  # it is here already


def test_a_name_that_the_manifest_does_not_know(places, server):
    with pytest.raises(ArtifactError, match="there are: good, other, gone"):
        weights.fetch("best")
