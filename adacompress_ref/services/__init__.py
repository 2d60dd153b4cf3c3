"""M: services that label an image, one file each, behind one small protocol."""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from importlib import import_module
from numbers import Real
from typing import Any, Protocol, TypeVar

from PIL import Image

from ..core.roles import Label
from ..imaging.encoding import Limits
from ..storage.files import reason
from .errors import AccountError as AccountError
from .errors import AuthenticationError as AuthenticationError
from .errors import NoAnswerError as NoAnswerError
from .errors import ProtocolError as ProtocolError
from .errors import QuotaError as QuotaError
from .errors import RefusedError as RefusedError
from .errors import ServiceError as ServiceError
from .errors import UnavailableError as UnavailableError

NAMES = "squeezenet, onnx:FILE, rekognition, baidu, facepp, google, openai:MODEL, recorded:FILE"
NAMES += ", MODULE:CLASS"
WITH_NAMES = ("onnx", "recorded", "openai")  # of what no module is

T = TypeVar("T")


class Service(Protocol):
    """What every service offers. Its errors say what is to be done: see errors.py.

    It may also say `name`, for messages; `formats`, a tuple such as ("jpeg", "webp"), JPEG alone
    if it does not; the limits `max_bytes`, `max_pixels` (width times height), `min_side` and
    `max_side` (pixels), which are checked before anything is sent; and `side_by_side` = True if
    `label` may be called from two threads at once.
    """

    def label(self, payload: bytes) -> Sequence[Label]:
        """The labels of an encoded image, best score first. Raises ServiceError."""


def ask(service: Service, payload: bytes) -> list[Label]:
    """The labels of an encoded image; scores with six decimals, as they are logged.

    Anything with a `name` and a `score` will do. Raises RefusedError where the payload is beyond
    the service's limits, ServiceError where the service returns other things.
    """
    check_limits(service, payload)
    answer: Any = service.label(payload)
    wrong = [answer]
    if isinstance(answer, Sequence) and not isinstance(answer, (str, bytes)):
        wrong = [label for label in answer if not is_label(label)]
    if wrong:
        raise ServiceError(
            f"service {called(service)}: label() returned {wrong[0]!r:.60}; it should return "
            "a list of Label(name, score), scores from 0 to 1, best first"
        )
    return [Label(label.name, round(min(float(label.score), 1.0), 6)) for label in answer]


def ask_all(service: Service, payloads: Sequence[bytes]) -> list[list[Label] | ServiceError]:
    """The answer to each of one or two payloads, or why there is none; side by side if it can.

    What is no fault of one upload, as a service that returns other things, is raised.
    """

    def answer(payload: bytes) -> list[Label] | ServiceError:
        try:
            return ask(service, payload)
        except ServiceError as error:
            if type(error) is ServiceError:
                raise
            return error

    if len(payloads) < 2 or not getattr(service, "side_by_side", False):
        return [answer(payload) for payload in payloads]
    second = in_background(lambda: answer(payloads[1]))
    return [answer(payloads[0]), second.result()]


def in_background(task: Callable[[], T]) -> Future[T]:
    """What `task` will return or raise, in a thread that keeps no process from ending."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(task())
        except Exception as error:
            future.set_exception(error)

    try:
        threading.Thread(target=run, daemon=True).start()
    except RuntimeError:  # there are no more: here and now
        run()
    return future


def check_limits(service: object, payload: bytes) -> None:
    """Raises RefusedError where a payload is beyond what the service says that it takes."""
    declared = limits(service)
    if declared == Limits(declared.name, declared.formats):
        return
    try:
        size = Image.open(io.BytesIO(payload), formats=("JPEG", "WEBP", "PNG")).size
    except Exception as error:
        raise RefusedError(f"{called(service)}: the payload is no image", sent=False) from error
    if fault := declared.fault(len(payload), *size):
        raise RefusedError(fault, sent=False)


def limits(service: object) -> Limits:
    """What a service says that it takes. Raises ServiceError where that is not JPEG too."""
    numbers = {name: getattr(service, name, None) for name in Limits._fields[2:]}
    return Limits(called(service), formats(service), **numbers)


def called(service: object) -> str:
    """The name of a service in messages."""
    return str(getattr(service, "name", type(service).__name__))


def is_label(label: object) -> bool:
    """Whether it has a name and a score, as a Label has."""
    name, score = getattr(label, "name", None), getattr(label, "score", None)
    in_range: Any = score  # a little above 1 is rounding; NaN is in no range, nor are huge integers
    return isinstance(name, str) and isinstance(score, Real) and 0 <= in_range <= 1 + 1e-6


def formats(service: object) -> tuple[str, ...]:
    """The file formats that a service takes. Raises ServiceError where JPEG is not among them."""
    declared: Any = getattr(service, "formats", ("jpeg",))
    names = declared if isinstance(declared, (list, tuple, set, frozenset)) else [declared]
    lowered = (str(name).lower() for name in names)
    kinds = tuple("jpeg" if name == "jpg" else name for name in lowered)
    if "jpeg" not in kinds:
        raise ServiceError(
            f"service {called(service)}: formats is {declared!r:.60}; the reference is JPEG, so "
            "a service has to take 'jpeg'"
        )
    return kinds


def open_service(
    name: str,
    threads: int | None = None,
    *,
    deadline: float | None = None,
    tries: int | None = None,
    rate: float | None = None,
    record: str | os.PathLike[str] | None = None,
) -> Service:
    """The service called `name`: one of squeezenet (bundled), onnx:FILE (any classifier),
    rekognition, baidu, facepp, google, openai:MODEL, recorded:FILE, and MODULE:CLASS, one's own.

    `threads` are for services that run on this machine. For the others, whose credentials come
    from the environment, `deadline` is in seconds for one of at most so many `tries`, `rate` in
    requests a second. With `record`, all answers are added to that file, which `recorded:FILE`
    reads. Raises ServiceError for an unknown name or missing credentials, ArtifactError or
    ModelError for a file that cannot be used.
    """
    given = {"deadline": deadline, "tries": tries, "rate": rate}
    network = {option: value for option, value in given.items() if value is not None}
    service = _open(name, threads, network)
    if record is None:
        return service
    from .recorded import Recorder

    return Recorder(service, record)


def _open(name: str, threads: int | None, network: dict[str, float]) -> Service:
    # imported here, so that each service needs what it uses alone
    kind, _, file = name.partition(":")
    if name == "squeezenet" or (kind == "onnx" and file):
        from .onnx import OnnxClassifier

        if not file:
            return OnnxClassifier.bundled(threads)
        return OnnxClassifier(file, threads=threads)
    if kind == "recorded" and file:
        from .recorded import Recorded

        return Recorded(file)
    if kind == "openai" and file:
        from .openai import OpenAI

        return OpenAI(file, **network)
    if file.isidentifier() and kind not in WITH_NAMES:
        return _own(kind, file)
    from .baidu import Baidu
    from .facepp import FacePP
    from .google import GoogleVision
    from .rekognition import Rekognition

    clients: dict[str, Callable[..., Service]]
    clients = {"rekognition": Rekognition, "baidu": Baidu, "facepp": FacePP, "google": GoogleVision}
    if name not in clients:
        hint = "; an address goes into a variable like BAIDU_ENDPOINT" if "//" in name else ""
        raise ServiceError(f"service {name!r} is not known; there are: {NAMES}{hint}")
    return clients[name](**network)


def _own(module: str, maker: str) -> Service:
    try:
        service = getattr(import_module(module), maker)()
        if not callable(getattr(service, "label", None)):
            raise TypeError(f"{maker} has no label(payload)")
        return service
    except ServiceError:
        raise
    except (Exception, SystemExit) as error:
        text = f"{type(error).__name__}, {reason(error)}; see --app-dir, --debug"
        raise ServiceError(f"module {module}: {text}") from error
