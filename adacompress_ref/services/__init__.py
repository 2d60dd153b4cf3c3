"""M: services that label an image, one file each, behind one small protocol."""

from __future__ import annotations

from typing import Protocol

from ..controller import Label

__all__ = ["Label", "Service", "ServiceError", "open_service"]


class ServiceError(Exception):
    """A service gave no answer; the message says what to do."""


class Service(Protocol):
    """What every service offers.

    It may also say `formats`, a tuple such as ("jpeg", "webp"); JPEG alone if it does not.
    """

    name: str

    def label(self, payload: bytes) -> list[Label]:
        """The labels of an encoded image, best score first. Raises ServiceError."""


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
