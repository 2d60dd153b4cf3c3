"""E: the frozen MobileNetV2 on ONNX Runtime, and the states built on its feature map."""

from __future__ import annotations

import os

import numpy as np

from . import artifacts, images
from .config import Config, Pooling, Resize
from .onnx_session import ModelError, open_session

INPUT_SIZE = 224  # pixels a side
CORNER = 4  # cells a side, of 7: what the authors' AveragePooling2D(4, 4) keeps


def tensor(pixels: np.ndarray, resize: Resize, side: int = INPUT_SIZE) -> np.ndarray:
    """Pixels [height, width, 3] uint8 -> [3, side, side] float32 in [-1, 1], whole image."""
    small = images.resized(pixels, (side, side), resize)
    scaled = small.astype(np.float32)
    scaled *= 1 / 127.5
    scaled -= 1
    return scaled.transpose(2, 0, 1)


def pool(feature_map: np.ndarray, pooling: Pooling) -> np.ndarray:
    """Feature maps [n, channels, rows, columns] -> states [n, channels]."""
    if pooling == "corner":
        feature_map = feature_map[:, :, :CORNER, :CORNER]
    return feature_map.mean(axis=(2, 3))


class Extractor:
    """E. Thread-safe: the session may be shared, nothing else changes.

    `path` names another MobileNetV2 with an output `map` [n, 1280, 7, 7]; by default the shipped
    one. Raises ArtifactError or ModelError.
    """

    def __init__(
        self, path: str | os.PathLike[str] | None = None, threads: int | None = None
    ) -> None:
        self.path = artifacts.find("mobilenetv2.onnx", path)
        self.session = open_session(self.path, threads)
        if "map" not in [output.name for output in self.session.get_outputs()]:
            raise ModelError(f"{self.path}: has no output named map, the last feature map")
        self.input_name = self.session.get_inputs()[0].name
        self.sha256 = artifacts.sha256(self.path)

    def maps(self, pixels: list[np.ndarray], resize: Resize, side: int = INPUT_SIZE) -> np.ndarray:
        """Images [height, width, 3] uint8 -> feature maps [n, 1280, side / 32, side / 32] float32.

        At the side of 224 pixels that E was trained for: 7 x 7 cells.
        """
        batch = np.stack([tensor(image, resize, side) for image in pixels])  # [n, 3, side, side]
        return self.session.run(["map"], {self.input_name: batch})[0]

    def state(self, pixels: np.ndarray, config: Config) -> np.ndarray:
        """s = E(x) for one image [height, width, 3] uint8 -> [1280] float32."""
        return pool(self.maps([pixels], config.resize), config.pooling)[0]
