"""Any ONNX image classifier as a local service; a sidecar file says how it wants its input."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ..core.roles import Label
from ..imaging import codec
from ..imaging.session import ModelError, open_session
from ..imaging.sidecar import Fields, Normalisation, beside, one_of
from ..storage import artifacts
from ..storage.files import reason

ANSWERS = 5  # labels returned: as many as AC-1 looks at
LONGEST = 8  # input sizes: an image that gets longer is thin, and only its centre is resized


@dataclass(frozen=True)
class Sidecar:
    """`FILE.json` beside FILE, of a classifier.

    `crop` c in [0.1, 1]: short side to input_size / c by bicubic interpolation, centre square cut;
    None: the whole image made square. `labels` is the list of class names, or a file of one a line,
    relative to the sidecar.
    """

    normalisation: Normalisation
    input_size: int
    labels: list[str]
    crop: float | None
    output: str
    min_score: float = 0.0  # labels below are no answer, as real services have it

    @classmethod
    def read(cls, path: Path) -> Sidecar:
        """Read and check a sidecar. Raises ModelError naming file and field."""
        fields = Fields(path)
        return cls(
            normalisation=Normalisation.read(fields),
            input_size=fields.get("input_size", lambda value: _within(int(value), 1, 4096)),
            labels=fields.get("labels", lambda value: _names(value, path.parent)),
            crop=None
            if fields.values.get("crop") is None
            else fields.get("crop", lambda value: _within(float(value), 0.1, 1)),
            output=fields.get(
                "output", lambda value: one_of(value, "LOGITS", "PROBABILITIES"), "PROBABILITIES"
            ),
            min_score=fields.get("min_score", lambda value: _within(float(value), 0, 1), 0),
        )


def _within(value: float, least: float, most: float) -> Any:
    if not least <= value <= most:
        raise ValueError(f"must be from {least} to {most}")
    return value


def _names(value: Any, folder: Path) -> list[str]:
    if isinstance(value, str):
        return (folder / value).read_text("utf-8").splitlines()
    if not isinstance(value, list):
        raise ValueError("must be a list of names, or the name of a file of them")
    return [str(name) for name in value]


class OnnxClassifier:
    """A classifier in `path`, described by the sidecar beside it.

    Raises ArtifactError or ModelError for files that cannot be used.
    """

    formats = ("jpeg", "webp")

    def __init__(
        self, path: str | os.PathLike[str], *, name: str | None = None, threads: int | None = None
    ) -> None:
        model = artifacts.find(Path(path).name, path)
        self.name = name or f"onnx:{path}"
        self.sidecar = Sidecar.read(beside(model))
        self.session = open_session(model, threads)
        self.input_name = self.session.get_inputs()[0].name

    @classmethod
    def bundled(cls, threads: int | None = None) -> OnnxClassifier:
        """SqueezeNet 1.1, as shipped."""
        return cls(artifacts.find("squeezenet1_1.onnx"), name="squeezenet", threads=threads)

    def tensor(self, picture: Image.Image) -> np.ndarray:
        """A picture -> the model's input [1, ...] float32."""
        side, size = self.sidecar, self.sidecar.input_size
        if side.crop is None:
            picture = codec.resized(picture, (size, size), "bicubic")
        else:
            picture = _centre_square(picture, size, round(size / side.crop))
        return side.normalisation(np.asarray(picture)[None])  # of [1, size, size, 3]

    def probabilities(self, picture: Image.Image) -> np.ndarray:
        """A picture -> probabilities [classes]. Raises ImageError or ModelError."""
        tensor = self.tensor(picture)
        try:
            scores = self.session.run(None, {self.input_name: tensor})[0].ravel()
        except Exception as error:  # its exceptions share no base class
            raise ModelError(
                f"{self.name}: the model does not take its input ({reason(error)})"
            ) from error
        if len(scores) != len(self.sidecar.labels):
            raise ModelError(
                f"{self.name}: the model has {len(scores)} classes, "
                f"its sidecar {len(self.sidecar.labels)} labels"
            )
        if self.sidecar.output == "LOGITS":
            scores = np.exp(scores - scores.max())
            scores /= scores.sum()
        return scores

    def label(self, payload: bytes) -> list[Label]:
        """The five best classes of an encoded image. Raises ImageError or ModelError."""
        scores = self.probabilities(codec.decode(payload))
        best = np.argsort(-scores, kind="stable")[:ANSWERS]
        labels = [Label(self.sidecar.labels[index], float(scores[index])) for index in best]
        return [label for label in labels if label.score >= self.sidecar.min_score]


def _centre_square(picture: Image.Image, size: int, short_side: int) -> Image.Image:
    """Resize so that the short side has `short_side` pixels, then cut the centre square."""
    width, height = picture.size
    factor = short_side / min(height, width)
    across, down = max(size, round(width * factor)), max(size, round(height * factor))
    left, top = (across - size) // 2, (down - size) // 2
    if max(across, down) <= LONGEST * size:
        whole = codec.resized(picture, (across, down), "bicubic")
        return whole.crop((left, top, left + size, top + size))
    # The same square of a thin image, without the rest of it, which may not fit into memory.
    x, y = width / across, height / down  # pixels of the image for one of the whole
    box = (left * x, top * y, (left + size) * x, (top + size) * y)
    return codec.resized(picture, (size, size), "bicubic", box)
