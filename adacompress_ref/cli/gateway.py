"""`adacompress gateway`: between a client that stays as it is and its service."""

from __future__ import annotations

import argparse
import os
import time
from contextlib import closing
from typing import Any

from ..running import traffic
from ..running.pilot import AdaCompress
from ..running.state import StateFolder, file_of
from ..running.traffic import Traffic
from ..server.clients import RekognitionClients
from ..server.gateway import Gateway
from ..services.http import check_endpoint
from ..services.rekognition import Rekognition
from ..storage import artifacts
from ..storage.files import reason
from .common import open_pilot, say, stop_signal

PATIENCE = 5.0  # seconds from the signal to the end, whatever happens


def main(arguments: argparse.Namespace) -> int:
    """Answer until Ctrl-C or SIGTERM."""
    service = Rekognition(tries=1, deadline=arguments.deadline)  # clients try again, not we
    if arguments.upstream:
        service.endpoint = check_endpoint(arguments.upstream)
    token = os.environ.get("ADACOMPRESS_GATEWAY_TOKEN", "").strip()
    service.transport.hide([token])
    pilot = open_pilot(arguments, arguments.seed)
    folder = StateFolder(arguments.state, _settings(arguments, pilot), traffic.check)
    with closing(folder), stop_signal(PATIENCE) as stop:
        gateway = _open(arguments, Traffic(pilot, folder), service, token)
        gateway.start()
        print(f"{arguments.service}: {gateway.url} goes on to {service.endpoint}", flush=True)
        if not token:
            say("without ADACOMPRESS_GATEWAY_TOKEN every user of this machine may spend money")
        while not stop.signal and not gateway.traffic.fault:
            time.sleep(0.1)
        fault = gateway.traffic.fault
        gateway.close(arguments.drain)
    say(f"{folder.totals.get('sent', 0)} images in all")
    if fault:
        raise fault
    return 128 + stop.signal


def _open(
    arguments: argparse.Namespace, images: Traffic, service: Rekognition, token: str
) -> Gateway:
    """Raises ValueError where it cannot listen."""
    try:
        return Gateway(
            images,
            service,
            RekognitionClients(token, arguments.passed),
            host=arguments.listen,
            port=arguments.port,
            names=arguments.name,
            most=arguments.clients,
            deadline=arguments.deadline,
            say=say,
        )
    except OSError as error:
        place = f"{arguments.listen}:{arguments.port}"
        raise ValueError(f"{place}: {reason(error)}; name others with --listen, --port") from error


def _settings(arguments: argparse.Namespace, pilot: AdaCompress) -> dict[str, Any]:
    """What must be the same at each return."""
    names = ("seed", "alpha", "agreement", "confidence")
    digest = artifacts.sha256(file_of(arguments.agent)) if arguments.agent else None
    given = {name: getattr(arguments, name) for name in names}
    return {"preset": pilot.config.preset, "agent": digest, "gateway": arguments.service} | given
