"""Fixtures of the gateway's tests."""

import io

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
