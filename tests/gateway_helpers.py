"""What the tests of the gateway share: a service, a pilot, photographs and a gateway on its way."""

import json
from contextlib import closing, contextmanager

import adacompress_ref as ac
from adacompress_ref.core.roles import Label
from adacompress_ref.running import traffic
from adacompress_ref.running.state import StateFolder
from adacompress_ref.running.traffic import Traffic
from adacompress_ref.server.dialects import CLIENTS
from adacompress_ref.server.gateway import Gateway
from adacompress_ref.services import open_service
from adacompress_ref.storage.files import ImageError

LONG = 60.0  # seconds, which nothing here takes


class Fake:
    """Three labels by the bytes of a JPEG; counts what it was sent."""

    def __init__(self):
        self.payloads = []

    def label(self, payload):
        self.payloads.append(payload)
        if not payload.startswith(b"\xff\xd8"):
            raise ImageError("no JPEG")
        name = "cat" if len(payload) % 3 else "dog"
        return [Label(name, 0.9), Label("mat", 0.75), Label(f"{len(payload)} bytes", 0.625)]


def system(pilot, seed=0):
    """A new agent of its own that shares the extractor."""
    other = ac.AdaCompress.load("tuned", seed=seed, threads=1)
    other.extractor = pilot.extractor
    other.resume(other.controller)
    return other


@contextmanager
def gateway(pilot, url, folder, drain=1.0, name="rekognition", token="", passed=(), **options):
    """One on its way to `url`, with its state in a folder."""
    service = open_service(name, tries=1)
    service.endpoint = url
    client = CLIENTS[name](token, passed)
    with closing(StateFolder(folder, {}, traffic.check)) as state:
        images = Traffic(system(pilot), state)
        opened = Gateway(images, client, service, say=lambda text: None, **options)
        opened.start()
        try:
            yield opened
        finally:
            opened.close(drain)


def logged(folder):
    return [json.loads(line) for line in (folder / "log.jsonl").read_bytes().splitlines()]
