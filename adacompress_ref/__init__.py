"""AdaCompress (ACM MM 2019): choose the JPEG quality of each upload by learning from the service.

Names resolve on first use, so the numpy-only core imports where numpy is all there is.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOMES = {
    "AdaCompress": "pilot",
    "Choice": "results",
    "Result": "results",
    "Config": "config",
    "Encoding": "config",
    "preset": "config",
    "Controller": "controller",
    "Label": "controller",
    "Step": "controller",
    "Upload": "controller",
    "DQNAgent": "agent",
    "SurvivalAgent": "survival",
    "AgentError": "agent",
    "Environment": "environment",
    "Extractor": "extractor",
    "Table": "table",
    "TableError": "table",
    "train": "training",
    "evaluate": "evaluation",
    "Service": "services",
    "ServiceError": "services",
    "UnavailableError": "services",
    "RefusedError": "services",
    "ProtocolError": "services",
    "QuotaError": "services",
    "AuthenticationError": "services",
    "open_service": "services",
    "ArtifactError": "artifacts",
    "ImageError": "files",
    "Photo": "images",
    "ModelError": "onnx_session",
    "StateError": "state",
}
__all__ = [*_HOMES, "__version__"]

if TYPE_CHECKING:  # the same names, for type checkers and editors
    from .agent import AgentError as AgentError
    from .agent import DQNAgent as DQNAgent
    from .artifacts import ArtifactError as ArtifactError
    from .config import Config as Config
    from .config import Encoding as Encoding
    from .config import preset as preset
    from .controller import Controller as Controller
    from .controller import Label as Label
    from .controller import Step as Step
    from .controller import Upload as Upload
    from .environment import Environment as Environment
    from .evaluation import evaluate as evaluate
    from .extractor import Extractor as Extractor
    from .files import ImageError as ImageError
    from .images import Photo as Photo
    from .onnx_session import ModelError as ModelError
    from .pilot import AdaCompress as AdaCompress
    from .results import Choice as Choice
    from .results import Result as Result
    from .services import AuthenticationError as AuthenticationError
    from .services import ProtocolError as ProtocolError
    from .services import QuotaError as QuotaError
    from .services import RefusedError as RefusedError
    from .services import Service as Service
    from .services import ServiceError as ServiceError
    from .services import UnavailableError as UnavailableError
    from .services import open_service as open_service
    from .state import StateError as StateError
    from .survival import SurvivalAgent as SurvivalAgent
    from .table import Table as Table
    from .table import TableError as TableError
    from .training import train as train
else:

    def __getattr__(name: str) -> Any:
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(import_module(f".{_HOMES[name]}", __name__), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted(__all__)
