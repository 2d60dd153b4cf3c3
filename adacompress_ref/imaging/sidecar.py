"""The JSON file beside an ONNX model, which says how the model wants its input."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..storage.files import reason
from .session import ModelError


def beside(model: Path) -> Path:
    """Where the sidecar of `model.onnx` is: `model.onnx.json`, or else `model.json`."""
    longer = model.with_name(f"{model.name}.json")
    return longer if longer.is_file() else model.with_suffix(".json")


class Fields:
    """The fields of a sidecar, checked as they are taken. Raises ModelError naming the file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self.values = json.loads(path.read_text("utf-8"))
        except FileNotFoundError as error:
            raise ModelError(
                f"{path}: missing; it says how the model wants its input, see weights/README.md"
            ) from error
        except (OSError, ValueError, RecursionError) as error:
            raise ModelError(f"{path}: not readable JSON ({reason(error)})") from error
        if not isinstance(self.values, dict):
            raise ModelError(f"{path}: expected a JSON object")

    def get(self, name: str, convert: Callable[[Any], Any], default: Any = None) -> Any:
        """A field, converted. Raises ModelError naming file and field."""
        if name not in self.values and default is None:
            raise ModelError(f"{self.path}: field {name!r} is missing")
        value = self.values.get(name, default)
        try:
            return convert(value)
        except (TypeError, ValueError, OverflowError, OSError) as error:
            raise ModelError(
                f"{self.path}: field {name!r} is {value!r:.60}: {reason(error)}"
            ) from error


@dataclass(frozen=True)
class Normalisation:
    """The model's input is (pixel * scale - mean) / std, pixels being from 0 to 255.

    `mean` and `std` are one number, or three in the order of `channels`. `scale`, unless given, is
    1, or 1/255 where they are plainly in units of 0 to 1: no mean above 1, every std below it.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    scale: float
    channels: str  # RGB or BGR
    layout: str  # NCHW or NHWC

    @classmethod
    def read(cls, fields: Fields) -> Normalisation:
        """Take it from a sidecar. Raises ModelError."""
        mean = fields.get("mean", _three, 0)
        std = fields.get("std", lambda value: _three(value, zero=False), 1)
        scale = 1 / 255 if max(mean) <= 1 and max(std) < 1 else 1
        return cls(
            mean=mean,
            std=std,
            scale=fields.get("scale", lambda value: _three(float(value), zero=False)[0], scale),
            channels=fields.get("channels", lambda value: one_of(value, "RGB", "BGR"), "RGB"),
            layout=fields.get("layout", lambda value: one_of(value, "NCHW", "NHWC"), "NCHW"),
        )

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        """RGB from 0 to 255, [n, height, width, 3] -> the model's input, float32."""
        ordered = pixels[..., ::-1] if self.channels == "BGR" else pixels
        scaled: np.ndarray = ordered.astype(np.float32)
        scaled *= self.scale
        scaled -= np.array(self.mean, np.float32)
        scaled /= np.array(self.std, np.float32)
        return scaled if self.layout == "NHWC" else scaled.transpose(0, 3, 1, 2)


def one_of(value: str, *allowed: str) -> str:
    """`value` in capitals. Raises ValueError where it is not among those allowed."""
    if str(value).upper() not in allowed:
        raise ValueError(f"must be {' or '.join(allowed)}")
    return str(value).upper()


def _three(value: Any, zero: bool = True) -> tuple[float, ...]:
    """One number for each channel, of three or of one that all have."""
    numbers = np.asarray(value, np.float64)
    if numbers.shape not in ((), (3,)) or not np.isfinite(numbers).all():
        raise ValueError("must be one finite number or three")
    if not zero and not numbers.all():
        raise ValueError("must not be 0")
    return tuple(np.broadcast_to(numbers, 3).tolist())
