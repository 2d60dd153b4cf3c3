"""AdaCompress (ACM MM 2019): choose the JPEG quality of each upload by learning from the service.

Names resolve on first use, so the numpy-only core imports where numpy is all there is.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "AdaCompress": "pilot",
    "Choice": "pilot",
    "Result": "pilot",
    "Config": "config",
    "Encoding": "config",
    "preset": "config",
    "Controller": "controller",
    "Label": "controller",
    "DQNAgent": "agent",
    "Environment": "environment",
    "Extractor": "extractor",
    "Table": "table",
    "open_service": "services",
}
__all__ = [*_HOMES, "__version__"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_HOMES[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
