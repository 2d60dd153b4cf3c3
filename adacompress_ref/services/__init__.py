"""M: services that label an image, one file each, behind one small protocol."""

from __future__ import annotations

import io
import math
import os
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from importlib import import_module
from numbers import Real
from typing import Any, Protocol

from PIL import Image

from ..core.controller import Label
from .errors import (
    AuthenticationError,
    ProtocolError,
    QuotaError,
    RefusedError,
    ServiceError,
    UnavailableError,
)

__all__ = [
    "AuthenticationError",
    "Label",
    "ProtocolError",
    "QuotaError",
    "RefusedError",
    "Service",
    "ServiceError",
    "UnavailableError",
    "open_service",
]

NAMES = "squeezenet, onnx:FILE, rekognition, baidu, facepp, google, recorded:FILE"
_ONLINE = {
    "rekognition": "Rekognition",
    "baidu": "Baidu",
    "facepp": "FacePP",
    "google": "GoogleVision",
}
_LIMITS = ("max_bytes", "max_pixels", "max_side", "min_side")


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
        wrong = [label for label in answer if not _is_label(label)]
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
    second: Future[list[Label] | ServiceError] = Future()

    def fill() -> None:
        try:
            second.set_result(answer(payloads[1]))
        except Exception as error:
            second.set_exception(error)

    threading.Thread(target=fill, daemon=True).start()
    return [answer(payloads[0]), second.result()]


def check_limits(service: object, payload: bytes) -> None:
    """Raises RefusedError where a payload is beyond what the service says that it takes."""
    if all(getattr(service, name, None) is None for name in _LIMITS):
        return
    try:
        size = Image.open(io.BytesIO(payload), formats=("JPEG", "WEBP", "PNG")).size
    except Exception as error:
        raise RefusedError(f"{called(service)}: the payload is no image", sent=False) from error
    check_size(service, len(payload), *size)


def check_size(service: object, size: int, width: int, height: int) -> None:
    """The same for a payload that has so many bytes and pixels."""
    most, pixels, longest, shortest = (getattr(service, name, None) for name in _LIMITS)
    if most is not None and size > most:
        raise RefusedError(
            f"{called(service)} takes {most:,} bytes, this image has {size:,}", sent=False
        )
    if (
        width * height > (pixels or math.inf)
        or max(width, height) > (longest or math.inf)
        or min(width, height) < (shortest or 0)
    ):
        limits = [f"sides from {shortest or 1}"] if shortest else []
        limits += [f"sides up to {longest}"] if longest else []
        limits += [f"{pixels:,} pixels in all"] if pixels else []
        raise RefusedError(
            f"{called(service)} takes {', '.join(limits)}, this image has {width} x {height}",
            sent=False,
        )


def called(service: object) -> str:
    """The name of a service in messages."""
    return str(getattr(service, "name", type(service).__name__))


def _is_label(label: object) -> bool:
    name, score = getattr(label, "name", None), getattr(label, "score", None)
    # a little above 1 is rounding; NaN is in no range
    return isinstance(name, str) and isinstance(score, Real) and 0 <= float(score) <= 1 + 1e-6


def formats(service: object) -> tuple[str, ...]:
    """The file formats that a service takes. Raises ServiceError where JPEG is not among them."""
    said: Any = getattr(service, "formats", ("jpeg",))
    listed = said if isinstance(said, (list, tuple, set, frozenset)) else [said]
    names = (str(each).lower() for each in listed)
    taken = tuple("jpeg" if name == "jpg" else name for name in names)
    if "jpeg" not in taken:
        raise ServiceError(
            f"service {called(service)}: formats is {said!r:.60}; the reference is JPEG, so "
            "a service has to take 'jpeg'"
        )
    return taken


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
    rekognition, baidu, facepp, google and recorded:FILE.

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
    if name in _ONLINE:
        client = getattr(import_module(f".{name}", __package__), _ONLINE[name])
        online: Service = client(**network)
        return online
    raise ServiceError(f"service {name!r} is not known; there are: {NAMES}")
