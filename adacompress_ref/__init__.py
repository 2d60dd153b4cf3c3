"""AdaCompress (ACM MM 2019): choose the JPEG quality of each upload by learning from the service.

Names resolve on first use, so the numpy-only core imports where numpy is all there is.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOMES = {
    "AdaCompress": "running.pilot",
    "Choice": "running.results",
    "Result": "running.results",
    "Config": "core.config",
    "Encoding": "core.config",
    "preset": "core.config",
    "Controller": "core.controller",
    "Label": "core.controller",
    "Step": "core.controller",
    "Upload": "core.controller",
    "DQNAgent": "core.agent",
    "SurvivalAgent": "survival.agent",
    "AgentError": "core.agent",
    "Environment": "tables.environment",
    "Extractor": "imaging.extractor",
    "Table": "tables.table",
    "TableError": "tables.table",
    "train": "core.training",
    "evaluate": "tables.evaluation",
    "Service": "services",
    "ServiceError": "services",
    "UnavailableError": "services",
    "RefusedError": "services",
    "ProtocolError": "services",
    "QuotaError": "services",
    "AuthenticationError": "services",
    "open_service": "services",
    "ArtifactError": "storage.artifacts",
    "ImageError": "storage.files",
    "Photo": "imaging.read",
    "ModelError": "imaging.session",
    "StateError": "running.state",
}
__all__ = [*_HOMES, "__version__"]

if TYPE_CHECKING:  # the same names, for type checkers and editors
    from .core.agent import AgentError as AgentError
    from .core.agent import DQNAgent as DQNAgent
    from .core.config import Config as Config
    from .core.config import Encoding as Encoding
    from .core.config import preset as preset
    from .core.controller import Controller as Controller
    from .core.controller import Label as Label
    from .core.controller import Step as Step
    from .core.controller import Upload as Upload
    from .core.training import train as train
    from .imaging.extractor import Extractor as Extractor
    from .imaging.read import Photo as Photo
    from .imaging.session import ModelError as ModelError
    from .running.pilot import AdaCompress as AdaCompress
    from .running.results import Choice as Choice
    from .running.results import Result as Result
    from .running.state import StateError as StateError
    from .services import AuthenticationError as AuthenticationError
    from .services import ProtocolError as ProtocolError
    from .services import QuotaError as QuotaError
    from .services import RefusedError as RefusedError
    from .services import Service as Service
    from .services import ServiceError as ServiceError
    from .services import UnavailableError as UnavailableError
    from .services import open_service as open_service
    from .storage.artifacts import ArtifactError as ArtifactError
    from .storage.files import ImageError as ImageError
    from .survival.agent import SurvivalAgent as SurvivalAgent
    from .tables.environment import Environment as Environment
    from .tables.evaluation import evaluate as evaluate
    from .tables.table import Table as Table
    from .tables.table import TableError as TableError
else:

    def __getattr__(name: str) -> Any:
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(import_module(f".{_HOMES[name]}", __name__), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted(__all__)
