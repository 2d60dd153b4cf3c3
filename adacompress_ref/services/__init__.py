"""M: services that label an image, one file each, behind one small protocol."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Real
from typing import Any, Protocol

from ..controller import Label

__all__ = ["Label", "Service", "ServiceError", "open_service"]


class ServiceError(Exception):
    """A service gave no answer, or not labels; the message says what to do."""


class Service(Protocol):
    """What every service offers.

    It may also say `name`, for messages, and `formats`, a tuple such as ("jpeg", "webp"); JPEG
    alone if it does not.
    """

    def label(self, payload: bytes) -> Sequence[Label]:
        """The labels of an encoded image, best score first. Raises ServiceError."""


def ask(service: Service, payload: bytes) -> list[Label]:
    """The labels of an encoded image. Raises ServiceError where the service returns other things.

    Anything with a `name` and a `score` will do.
    """
    answer: Any = service.label(payload)
    wrong = [answer]
    if isinstance(answer, Sequence) and not isinstance(answer, (str, bytes)):
        wrong = [label for label in answer if not _is_label(label)]
    if wrong:
        called = getattr(service, "name", type(service).__name__)
        raise ServiceError(
            f"service {called}: label() returned {wrong[0]!r:.60}; it should return "
            "a list of Label(name, score), scores from 0 to 1, best first"
        )
    return [Label(label.name, min(float(label.score), 1.0)) for label in answer]


def _is_label(label: object) -> bool:
    name, score = getattr(label, "name", None), getattr(label, "score", None)
    # a little above 1 is rounding; NaN is in no range
    return isinstance(name, str) and isinstance(score, Real) and 0 <= float(score) <= 1 + 1e-6


def formats(service: object) -> tuple[str, ...]:
    """The file formats that a service takes."""
    return tuple(getattr(service, "formats", ("jpeg",)))


def open_service(name: str, threads: int | None = None) -> Service:
    """The service called `name`: `squeezenet` (bundled) or `onnx:FILE`.

    `threads` are for services that run on this machine. Raises ServiceError for an unknown name,
    ArtifactError or ModelError for a file that cannot be used.
    """
    from .onnx import OnnxClassifier  # here, so that other services need no ONNX Runtime

    if name == "squeezenet":
        return OnnxClassifier.bundled(threads)
    if name.startswith("onnx:"):
        return OnnxClassifier(name.removeprefix("onnx:"), name=name, threads=threads)
    raise ServiceError(f"service {name!r} is not known; there are: squeezenet, onnx:FILE")
