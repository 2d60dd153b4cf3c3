"""`adacompress gateway`: between a client that stays as it is and its service."""

from __future__ import annotations

import argparse
import os
import time
from contextlib import closing

from ..running import traffic
from ..running.state import StateFolder, file_of
from ..running.traffic import Traffic
from ..server import metrics
from ..server.gateway import CLIENTS, Gateway
from ..services.http import check_endpoint
from ..storage import artifacts
from ..storage.files import reason
from .common import open_pilot, say, stop_signal

PATIENCE = 5.0  # seconds from the signal to the end, whatever happens


def main(arguments: argparse.Namespace) -> int:
    """Answer until Ctrl-C or SIGTERM."""
    # it is the client that tries again
    service = CLIENTS[arguments.service].service(tries=1, deadline=arguments.deadline)
    if arguments.upstream:
        service.endpoint = check_endpoint(arguments.upstream)
    token = os.environ.get("ADACOMPRESS_GATEWAY_TOKEN", "").strip()
    service.transport.hide([token])
    pilot = open_pilot(arguments, arguments.seed)
    # what must be the same at each return
    settings = {name: getattr(arguments, name) for name in ("seed", "alpha", "agreement")}
    settings |= {"confidence": arguments.confidence, "gateway": arguments.service}
    settings["agent"] = artifacts.sha256(file_of(arguments.agent)) if arguments.agent else None
    settings["preset"] = pilot.config.preset
    names = {"host": "listen", "port": "port", "names": "name"}
    options = {name: getattr(arguments, option) for name, option in names.items()}
    options |= {"clients": arguments.clients, "deadline": arguments.deadline}
    with closing(StateFolder(arguments.state, settings, traffic.check)) as folder:
        images = Traffic(pilot, folder)
        try:
            gateway = Gateway(images, service, token=token, say=say, **options)
        except OSError as error:
            place = f"{arguments.listen}:{arguments.port}"
            text = f"{place}: {reason(error)}; name others with --listen or --port"
            raise ValueError(text) from error
        with stop_signal(PATIENCE) as stop:
            gateway.start()
            print(f"{arguments.service}: {gateway.url} goes on to {service.endpoint}", flush=True)
            if not token:
                say("without ADACOMPRESS_GATEWAY_TOKEN every user of this machine may spend money")
            due = time.monotonic()
            while not stop.signal and not images.fault:
                if arguments.metrics and time.monotonic() >= due:
                    due = time.monotonic() + metrics.EVERY
                    _write_metrics(arguments.metrics, gateway)
                time.sleep(0.1)
            fault = images.fault
            gateway.close(arguments.drain)
            if arguments.metrics:
                _write_metrics(arguments.metrics, gateway)
        say(f"{folder.totals.get('sent', 0)} images in all")
    if fault:
        raise fault
    return 128 + stop.signal


def _write_metrics(path: str, gateway: Gateway) -> None:
    try:
        metrics.write(path, gateway.traffic.state.totals, len(gateway.connections))
    except OSError as error:  # images go first
        say(f"{path}: {reason(error)}; clients are answered all the same")
