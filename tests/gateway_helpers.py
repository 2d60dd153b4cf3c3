"""What the tests of the gateway share: one that runs, and a service behind it."""

import json
from contextlib import closing, contextmanager

import adacompress_ref as ac
from adacompress_ref.core.roles import Label
from adacompress_ref.running import traffic
from adacompress_ref.running.state import StateFolder
from adacompress_ref.running.traffic import Traffic
from adacompress_ref.server.gateway import CLIENTS, Gateway
from adacompress_ref.storage.files import ImageError


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
def gateway(pilot, url, folder, drain=1.0, name="rekognition", **options):
    """One on its way to a service at `url`, with its state in a folder."""
    service = CLIENTS[name].service(tries=1)
    service.endpoint = url
    with closing(StateFolder(folder, {}, traffic.check)) as state:
        images = Traffic(system(pilot), state)
        opened = Gateway(images, service, say=lambda text: None, **options)
        opened.start()
        try:
            yield opened
        finally:
            opened.close(drain)


def logged(folder):
    return [json.loads(line) for line in (folder / "log.jsonl").read_bytes().splitlines()]
