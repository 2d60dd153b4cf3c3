"""AdaCompress (ACM MM 2019): choose the JPEG quality of each upload by learning from the service.

Names resolve on first use, so the numpy-only core imports where numpy is all there is. They and
their files stand in `__init__.pyi`, which type checkers read too.
"""

from __future__ import annotations

import ast
from importlib import import_module
from pkgutil import get_data
from typing import Any

__version__ = "0.2.0"

_HOMES = {
    alias.name: statement.module
    for statement in ast.parse(get_data(__name__, "__init__.pyi") or b"").body  # in a zip too
    if isinstance(statement, ast.ImportFrom)
    for alias in statement.names
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
