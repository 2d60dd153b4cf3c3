"""`adacompress serve`: a local service that looks like others from outside."""

from __future__ import annotations

import argparse
import ipaddress
import json
import time
from dataclasses import replace
from typing import Any

from ..server.standin import Server
from ..services import ServiceError, open_service
from ..storage.files import reason
from .common import say, stop_signal


def main(arguments: argparse.Namespace) -> int:
    """Answer until Ctrl-C or SIGTERM."""
    if arguments.service != "squeezenet" and not arguments.service.startswith("onnx:"):
        raise ServiceError("--service: squeezenet or onnx:FILE, which run on this machine")
    service: Any = open_service(arguments.service)
    if arguments.min_score is not None:
        service.sidecar = replace(service.sidecar, min_score=arguments.min_score)
    names = ("host", "port", "latency", "bandwidth", "quota", "error_rate", "seed")
    try:
        server = Server(service, **{name: getattr(arguments, name) for name in names})
    except OSError as error:
        raise ValueError(
            f"{arguments.host}:{arguments.port}: {reason(error)}; name others with --host or --port"
        ) from error
    with stop_signal() as stop, server:
        _announce(arguments, server)
        while not stop.signal:
            time.sleep(0.1)
    say(f"{server.requests} requests, {server.answered} answered")
    return 128 + stop.signal


def _announce(arguments: argparse.Namespace, server: Server) -> None:
    say("for dry runs and tests, not for production: any credentials will do")
    if not ipaddress.ip_address(server.address).is_loopback:
        say(f"--host {arguments.host}: open to other machines, without encryption")
    if arguments.json:
        print(json.dumps({"url": server.url}), flush=True)
        return
    print(f"{arguments.service} answers at {server.url}; for the client, one of")
    for wire in server.formats:
        if variables := wire.environment(server.url):
            print("export", *(f"{name}={value}" for name, value in variables.items()))
    print(end="", flush=True)
