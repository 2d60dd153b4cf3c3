"""The public names and the files that they are in: for type checkers, editors and Python itself."""

from .agents import AgentError as AgentError
from .agents import load as load
from .agents import monitor_of as monitor_of
from .agents import new_agent as new_agent
from .agents import preset as preset
from .agents import save as save
from .agents import view_of as view_of
from .core.agent import DQNAgent as DQNAgent
from .core.config import Config as Config
from .core.controller import Controller as Controller
from .core.roles import Label as Label
from .core.roles import Step as Step
from .core.roles import Upload as Upload
from .core.training import passes as passes
from .core.training import train as train
from .imaging.encoding import Encoding as Encoding
from .imaging.extractor import Extractor as Extractor
from .imaging.read import Photo as Photo
from .imaging.session import ModelError as ModelError
from .keras_file import load_keras as load_keras
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
from .survival.config import SurvivalConfig as SurvivalConfig
from .tables.environment import Environment as Environment
from .tables.environment import RecordedImage as RecordedImage
from .tables.evaluation import evaluate as evaluate
from .tables.table import Table as Table
from .tables.table import TableError as TableError

__version__: str
