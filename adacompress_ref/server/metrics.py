"""What a gateway has done, as Prometheus reads it from a file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_COUNTERS = {  # of `runlog.add`, by their names there
    "sent": ("images", "answered, decided and logged"),
    "bytes_sent": ("sent_bytes", "sent for them, references included"),
    "reference_bytes": ("reference_bytes", "that always sending quality 75 would have taken"),
    "original_bytes": ("original_bytes", "of the files as clients sent them"),
    "measured": ("measured", "answers compared with that to quality 75"),
    "agreed": ("agreed", "of these, with the same best labels"),
}


def text(totals: Mapping[str, Any], answers: Mapping[int, int], connections: int) -> str:
    """The sums of a log, how many answers of each status clients got, and how many are there."""
    lines = []
    for field, (name, meaning) in _COUNTERS.items():
        lines += _family(f"{name}_total", "counter", meaning, {"": totals.get(field, 0)})
    states = {f'{{state="{state}"}}': count for state, count in totals.get("states", {}).items()}
    statuses = {f'{{status="{status}"}}': count for status, count in answers.items()}
    lines += _family("states_total", "counter", "images by the state they were sent in", states)
    lines += _family("answers_total", "counter", "what clients got since the start", statuses)
    lines += _family("connections", "gauge", "of clients, open now", {"": connections})
    return "".join(f"{line}\n" for line in lines)


def _family(name: str, kind: str, meaning: str, values: Mapping[str, float]) -> list[str]:
    name = f"adacompress_gateway_{name}"
    samples = [f"{name}{labels} {values[labels]:.15g}" for labels in sorted(values)]
    return [f"# HELP {name} {meaning}", f"# TYPE {name} {kind}", *samples]
