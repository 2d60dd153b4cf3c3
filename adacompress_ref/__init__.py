"""AdaCompress (ACM MM 2019): choose the JPEG quality of each upload by learning from the service.

Names resolve on first use, so the numpy-only core imports where numpy is all there is. They and
their files stand in `__init__.pyi`, which type checkers read too.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.2.0"

_STUB: bytes = __loader__.get_data(f"{__file__}i")  # type: ignore[name-defined]  # in a zip too
_HOMES = {  # of lines such as: from .core.roles import Label as Label
    words[3]: words[1].lstrip(".")
    for words in map(str.split, _STUB.decode().splitlines())
    if words and words[0] == "from"
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
