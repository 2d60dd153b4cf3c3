"""A manifest of weight files, as tests write one."""

import hashlib
import json


def write_manifest(places, files, fetch):
    """Into `shipped` below a folder; see the fixture `places`."""
    text = json.dumps({"format": 1, "files": files, "fetch": fetch})
    (places / "shipped" / "manifest.json").write_text(text)


def sha256(data):
    return hashlib.sha256(data).hexdigest()
