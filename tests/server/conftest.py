"""Fixtures of the gateway's tests."""

import io
import os

import pytest
from PIL import Image

import adacompress_ref as ac


@pytest.fixture(scope="module")
def pilot():
    """Its extractor, which is what takes long to open."""
    return ac.AdaCompress.load("tuned", threads=1)


@pytest.fixture(scope="module")
def jpegs(photos):
    """Sixty small photographs, pieces of those that are shipped."""
    files = []
    for number, path in enumerate(sorted(photos.glob("*.jpg")) * 6):
        with Image.open(path) as photo:
            left, top = 8 * (number % 7), 8 * (number // 12)
            stream = io.BytesIO()
            photo.convert("RGB").crop((left, top, left + 120, top + 96)).save(
                stream, "JPEG", quality=92
            )
            files.append(stream.getvalue())
    assert len({*files}) >= 60
    return files[:60]


@pytest.fixture
def environment(monkeypatch):
    """The credentials of a gateway, of every service, and nothing of this machine's own."""
    for name in [name for name in os.environ if name.startswith(("AWS_", "HTTP", "ADACOMPRESS_G"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "the-gateways-own")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "only-the-gateway-knows")
    for name in ("GOOGLE_API_KEY", "BAIDU_API_KEY", "FACEPP_API_KEY"):
        monkeypatch.setenv(name, "the-gateways-own")
    for name in ("BAIDU_SECRET_KEY", "FACEPP_API_SECRET"):
        monkeypatch.setenv(name, "only-the-gateway-knows")
