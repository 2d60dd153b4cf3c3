"""`adacompress gateway`: between a client that stays as it is and its service."""

from __future__ import annotations

import argparse
import os
import time
from contextlib import closing
from typing import Any

from ..running import traffic
from ..running.state import StateFolder
from ..running.traffic import Traffic
from ..server import metrics
from ..server.dialects import CLIENTS
from ..server.gateway import Gateway
from ..services import open_service
from ..services.endpoint import check_endpoint
from ..storage.files import reason
from .common import check_output, open_pilot, say, stop_signal
from .run import settings_of

PATIENCE = 5.0  # seconds from the signal to the end, whatever happens


def main(arguments: argparse.Namespace) -> int:
    """Answer until Ctrl-C or SIGTERM."""
    # it is the client that tries again
    service: Any = open_service(arguments.service, tries=1, deadline=arguments.deadline)
    if arguments.upstream:
        service.endpoint = check_endpoint(arguments.upstream)
    if arguments.metrics:
        check_output(arguments.metrics, kind="prom")
    token = os.environ.get("ADACOMPRESS_GATEWAY_TOKEN", "").strip()
    service.transport.hide([token])
    client = CLIENTS[arguments.service](token, arguments.passed)
    pilot = open_pilot(arguments, arguments.seed)
    settings = settings_of(arguments, pilot) | {"gateway": True}
    options = {name: getattr(arguments, name) for name in ("port", "names", "clients", "deadline")}
    options["say"] = str if arguments.quiet else say
    with closing(StateFolder(arguments.state, settings, traffic.check)) as folder:
        images = Traffic(pilot, folder, arguments.pixel_limit)
        gateway = Gateway(images, client, service, host=arguments.listen, **options)

        def write() -> None:
            numbers = folder.totals, gateway.answers, len(gateway.connections)
            try:
                metrics.write(arguments.metrics, *numbers)
            except OSError as error:  # images go first
                say(f"{arguments.metrics}: {reason(error)}; clients are answered all the same")

        with stop_signal(PATIENCE) as stop:
            gateway.start()
            print(f"{arguments.service}: {gateway.url} goes on to {service.endpoint}", flush=True)
            if not token:
                say("without ADACOMPRESS_GATEWAY_TOKEN every user of this machine may spend money")
            due = 0.0
            while not stop.signal and not images.fault:
                if arguments.metrics and time.monotonic() >= due:
                    write()
                    due = time.monotonic() + metrics.EVERY
                time.sleep(0.1)
            fault = images.fault
            gateway.close(arguments.drain)
            if arguments.metrics:
                write()
        say(f"{folder.totals.get('sent', 0)} images in all")
    if fault:
        raise fault
    return 128 + stop.signal
