"""What the gateway adds to an upload, and how many it takes at once, beside a pilot in process.

`python -m bench.speed.gateway [--repetitions 200] [--images 400] [--latency 0.02] [--json]`

Both ask a stand-in for Rekognition, in a process of its own, which answers after `--latency`
seconds; the gateway is another process, as `adacompress gateway` is. Its client sends the
photograph in base64 over a connection that it keeps, unsigned, as there is no token. Photographs
are those of the first run; each way begins with an agent of its own, of the same seed.
"""

from __future__ import annotations

import argparse
import base64
import http.client
import itertools
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np

from adacompress_ref.running.pilot import AdaCompress
from adacompress_ref.services.rekognition import TARGET, Rekognition

from ..command import parser
from .ratios import BLOCK, Row, in_turns, show

PHOTOS = Path(__file__).resolve().parents[2] / "photos"
CLIENTS = 8
STAND_IN = """
import sys, time
from adacompress_ref.core.roles import Label
from adacompress_ref.server.standin import Server
class Knows:
    def label(self, payload):
        return [Label("cat", 0.9), Label(str(len(payload) % 7), 0.5)]
with Server(Knows(), latency=float(sys.argv[1])) as server:
    print(server.url, flush=True)
    time.sleep(3600)
"""
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "bench",
    "AWS_SECRET_ACCESS_KEY": "bench",
    "AWS_REGION": "us-east-1",
    "NO_PROXY": "127.0.0.1",
}


@contextmanager
def started(*arguments: str) -> Iterator[str]:
    """The address that a Python prints in its first line; it is stopped in the end."""
    with subprocess.Popen(
        [sys.executable, *arguments], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout
        try:
            found = re.search(r"http://127\.0\.0\.1:\d+", process.stdout.readline())
            if not found:
                raise RuntimeError(f"{arguments[1]} has not started")
            yield found[0]
        finally:
            process.terminate()


def sender(url: str, bodies: list[bytes]) -> Callable[[], None]:
    """A client of the gateway; photographs come again and again. A connection for each thread."""
    place, own, turns = urlsplit(url).netloc, threading.local(), itertools.count()
    headers = {"X-Amz-Target": TARGET, "Content-Type": "application/x-amz-json-1.1"}

    def send() -> None:
        if not hasattr(own, "connection"):
            own.connection = http.client.HTTPConnection(place)
        own.connection.request("POST", "/", bodies[next(turns) % len(bodies)], headers)
        response = own.connection.getresponse()
        answer = response.read()
        if response.status != 200:
            raise RuntimeError(f"the gateway says {response.status}: {answer[:200]!r}")

    return send


def rate(send: Callable[[], None], images: int) -> float:
    """Images a second, over CLIENTS threads."""
    with ThreadPoolExecutor(CLIENTS) as executor:
        list(executor.map(lambda _: send(), range(CLIENTS)))  # connections, threads
        began = time.perf_counter()
        list(executor.map(lambda _: send(), range(images)))
        return images / (time.perf_counter() - began)


def rows(options: argparse.Namespace) -> list[Row]:
    """All rows."""
    files = [path.read_bytes() for path in sorted(PHOTOS.glob("*.jpg"))]
    bodies = [
        json.dumps({"Image": {"Bytes": base64.b64encode(file).decode()}, "MaxLabels": 10}).encode()
        for file in files
    ]
    os.environ.update(CREDENTIALS)
    with (
        tempfile.TemporaryDirectory() as made,
        started("-c", STAND_IN, str(options.latency)) as service,
    ):
        os.environ["AWS_ENDPOINT_URL_REKOGNITION"] = service
        command = ["-m", "adacompress_ref", "gateway", "rekognition", "--state", f"{made}/state"]
        with started(*command, "--port", "0") as url:
            client, turns = sender(url, bodies), itertools.count()
            pilot, upstream = AdaCompress.load(seed=0), Rekognition()

            def upload() -> None:
                pilot.upload(files[next(turns) % len(files)], upstream)

            seconds = in_turns({"gateway": client, "pilot": upload}, options.repetitions)
            rates = [rate(client, options.images), rate(upload, options.images)]
    ours, theirs = (1000 * seconds[name] for name in ("gateway", "pilot"))
    medians = [np.median(each.reshape(-1, BLOCK), axis=1) for each in (ours, theirs)]  # of turns
    differences = medians[0] - medians[1]
    low, high = map(float, np.percentile(differences, (25, 75)))
    beyond = float(np.median(ours) - np.median(theirs))
    return [
        Row("gateway, one client: beyond pilot.upload", beyond, "ms", "<= 2", (low, high)),
        Row("pilot.upload", float(np.median(theirs)), "ms"),
        Row(f"gateway, {CLIENTS} clients", rates[0], "/s"),
        Row(f"one pilot, {CLIENTS} threads", rates[1], "/s"),
        Row(f"gateway, {CLIENTS} clients / one pilot", rates[0] / rates[1], "x", ">= 0.9"),
    ]


def main(arguments: list[str] | None = None) -> int:
    """Exit status 1 where a target is missed."""
    command = parser("bench.speed.gateway", __doc__)
    command.add_argument("--repetitions", type=int, default=200, metavar="N")
    command.add_argument("--images", type=int, default=400, metavar="N")
    command.add_argument("--latency", type=float, default=0.02, metavar="S")
    options = command.parse_args(arguments)
    return show(rows(options), options.json)


if __name__ == "__main__":
    sys.exit(main())
