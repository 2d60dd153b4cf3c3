"""What a gateway has done, as a file in Prometheus' text format, for a collector of such files."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from ..storage.files import save_atomically

EVERY = 10.0  # seconds between two files
COUNTERS = {  # by their names in the totals of a log
    "sent": ("images", "Images that were answered, and logged."),
    "measured": ("references", "Images of which the reference was sent too, and compared."),
    "agreed": ("agreements", "References whose best label the compressed upload kept."),
    "faults": ("faults", "Images answered though one of two uploads failed."),
    "bytes_sent": ("sent_bytes", "Bytes of all uploads, references included."),
    "reference_bytes": ("reference_bytes", "Bytes had all images been sent as quality 75."),
    "original_bytes": ("original_bytes", "Bytes of the images as clients sent them."),
}


def text(totals: Mapping[str, Any], connections: int) -> str:
    """The lines of a file: sums over the whole log, and how many clients are connected now."""
    rows = [
        (f"{name}_total", "counter", what, totals.get(key, 0))
        for key, (name, what) in COUNTERS.items()
    ]
    rows.append(("connections", "gauge", "Connections of clients now.", connections))
    return "".join(
        f"# HELP adacompress_{name} {what}\n# TYPE adacompress_{name} {kind}\n"
        f"adacompress_{name} {int(value)}\n"
        for name, kind, what, value in rows
    )


def write(path: str, totals: Mapping[str, Any], connections: int) -> None:
    """Write a file whole, for others to read. Raises OSError naming it."""
    save_atomically(path, text(totals, connections).encode())
    os.chmod(path, 0o644)
