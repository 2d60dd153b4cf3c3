"""Why a level was chosen: an image under the heat of Grad-CAM (AC-9), alone or in a sheet."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ..core import equations
from ..imaging.read import Photo
from ..running.live import LiveImage
from ..running.pilot import AdaCompress

_SIDE, _SMALL_SIDE = 420, 200  # pixels that a photograph may take: alone, in a sheet of many
_COLUMNS = 3  # of a sheet, at most
_MARGIN, _GAP, _TEXT, _LINE = 16, 6, 15, 21  # pixels
_BAR = 240, 14  # pixels
# Nine colours of viridis: lightness rises steadily, and the colour-blind see it rise.
_COLOURS = "440154 472c7a 3b518b 2c718e 21908d 27ad81 5cc863 aadc32 fde725"
_ANCHORS = np.array([tuple(bytes.fromhex(colour)) for colour in _COLOURS.split()])  # [9, 3]


@dataclass(frozen=True)
class Explanation:
    """Why a level has its Q-value: one image, small, and the heat on it."""

    name: str
    encoding: str  # the level explained
    q_value: float
    chosen: str  # the agent's level
    order: int  # of the agent's level among all
    heat: np.ndarray  # [7, 7] or, of drift, [5, 5], AC-9
    picture: Image.Image


def explain(
    pilot: AdaCompress,
    photo: Photo,
    action: int | None = None,
    formats: Collection[str] | None = None,
) -> Explanation:
    """Which cells of E's map the Q-value of an action comes from; by default of the chosen one.

    `formats` may be sent, by default JPEG. Raises ValueError for an action that may not.
    """
    view, agent = pilot.view, pilot.agent
    state = LiveImage(photo, view, pilot.extractor, formats=formats).state
    q_values = agent.q_values(state)  # [actions]
    chosen = equations.best_action(q_values)
    action = chosen if action is None else action
    if not np.isfinite(q_values[action]):
        raise ValueError(
            f"{view.encodings[action].name}: cannot be sent here, or is never better than WebP"
        )
    return Explanation(
        name=photo.name,
        encoding=view.encodings[action].name,
        q_value=float(q_values[action]),
        chosen=view.encodings[chosen].name,
        order=chosen,
        heat=view.heat(agent, photo, state, action, pilot.extractor),
        picture=fitted(photo.picture),
    )


def sheet(explanations: Sequence[Explanation]) -> Image.Image:
    """Each photograph, and beside it in grey under its heat; the lowest chosen level first.

    One scale of colours for all, with its numbers.
    """
    ordered = sorted(explanations, key=lambda explanation: explanation.order)  # stable
    heats = np.stack([explanation.heat for explanation in ordered])  # [n, rows, columns]
    shares, low, high = scaled(heats)
    side = _SIDE if len(ordered) == 1 else _SMALL_SIDE
    tiles = [_tile(*pair, side) for pair in zip(ordered, shares, strict=True)]
    width, height = tiles[0].width + _MARGIN, max(tile.height for tile in tiles) + _MARGIN
    columns = min(len(tiles), _COLUMNS)
    rows, top = -(-len(tiles) // columns), 2 * _MARGIN + 2 * _LINE  # below the scale
    canvas = Image.new("RGB", (_MARGIN + columns * width, top + rows * height), "white")
    _draw_scale(canvas, low, high, heats.min() < low)
    for number, tile in enumerate(tiles):
        row, column = divmod(number, columns)
        canvas.paste(tile, (_MARGIN + column * width, top + row * height))
    return canvas


def scaled(heats: np.ndarray) -> tuple[np.ndarray, float, float]:
    """Heats as shares of a scale, and the ends of that; not below -1, as one cell may be far."""
    low, high = min(0.0, max(-1.0, float(heats.min()))), float(heats.max())
    if high <= low:  # no heat at all
        high = low + 1
    return ((heats - low) / (high - low)).clip(0, 1), low, high


def _tile(explanation: Explanation, heat: np.ndarray, side: int) -> Image.Image:
    """Caption, photograph and overlay; `heat` [rows, columns] in [0, 1]."""
    picture, width = fitted(explanation.picture, side), 2 * side + _GAP
    level = f"{explanation.encoding}, Q = {explanation.q_value:.3f}"
    if explanation.encoding != explanation.chosen:
        level += f"; chosen: {explanation.chosen}"
    tile = Image.new("RGB", (width, 2 * _LINE + picture.height), "white")
    _write(tile, (0, 0), Path(explanation.name).name, width)
    _write(tile, (0, _LINE), level, width)
    tile.paste(picture, (0, 2 * _LINE))
    tile.paste(overlay(picture, heat), (picture.width + _GAP, 2 * _LINE))
    return tile


def overlay(picture: Image.Image, heat: np.ndarray) -> Image.Image:
    """A picture in grey under heat [rows, columns] in [0, 1], smoothly enlarged."""
    smooth = Image.fromarray(heat.astype(np.float32)).resize(
        picture.size, Image.Resampling.BILINEAR
    )
    return Image.blend(picture.convert("L").convert("RGB"), _coloured(np.array(smooth)), 0.5)


def _coloured(values: np.ndarray) -> Image.Image:
    """Values [height, width] in [0, 1] as colours between the anchors."""
    places = np.linspace(0, 1, len(_ANCHORS))
    channels = [np.interp(values, places, _ANCHORS[:, channel]) for channel in range(3)]
    return Image.fromarray(np.stack(channels, axis=2).round().astype(np.uint8))


def fitted(image: Image.Image, side: int = _SIDE) -> Image.Image:
    """As large as the square of this side holds, but never so narrow that nothing is seen."""
    scale = side / max(image.size)
    width, height = (max(12, round(length * scale)) for length in image.size)
    return image.resize((width, height), Image.Resampling.BILINEAR)


def _draw_scale(canvas: Image.Image, low: float, high: float, less: bool) -> None:
    """The colours from `low` (`less`: and below) to `high`, numbers, and what they mean."""
    bar = _coloured(np.tile(np.linspace(0, 1, _BAR[0]), (_BAR[1], 1)))
    canvas.paste(bar, (_MARGIN, _MARGIN))
    for share in (0.0, 0.5, 1.0):
        text = f"{low + share * (high - low):.2g}" + (" and below" if less and not share else "")
        shift = round(share * (_BAR[0] - ImageFont.load_default(_TEXT).getlength(text)))
        _write(canvas, (_MARGIN + shift, _MARGIN + _BAR[1] + 3), text, _BAR[0])
    left = 2 * _MARGIN + _BAR[0]
    meaning = "heat (AC-9): what raises Q; 1 is an image's most"
    _write(canvas, (left, _MARGIN - 3), meaning, canvas.width - left)


def _write(canvas: Image.Image, place: tuple[int, int], text: str, width: int) -> None:
    """A line of text, its middle left out where it is longer than `width` pixels."""
    font = ImageFont.load_default(_TEXT)
    shown, kept = text, min(len(text), width)  # no letter is narrower than a pixel
    while font.getlength(shown) > width:
        kept -= 2
        shown = f"{text[: kept // 2]}...{text[-(kept // 2) :]}"
    ImageDraw.Draw(canvas).text(place, shown, "black", font)
