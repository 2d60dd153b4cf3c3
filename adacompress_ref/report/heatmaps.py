"""Why a level was chosen: an image under the heat of Grad-CAM (AC-9), alone or in a sheet."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ..core import equations
from ..imaging.encoding import Encoding
from ..imaging.read import Photo
from ..running.live import LiveImage
from ..running.pilot import AdaCompress
from ..storage.files import printable

_SIDE, _SMALL_SIDE = 420, 200  # pixels that a photograph may take: alone, in a sheet of many
_COLUMNS = 3  # of a sheet, at most
_MARGIN, _GAP, _TEXT, _LINE = 16, 6, 15, 21  # pixels
_BAR = 240, 14  # pixels
# Orange and blue of Okabe and Ito, which the colour-blind tell apart.
_FOR, _AGAINST, _STRENGTH = (230, 120, 0), (0, 100, 200), 0.85


@dataclass(frozen=True)
class Explanation:
    """Why a level has its Q-value: one image, small, and the heat on it."""

    name: str
    encoding: str  # the level explained
    q_value: float
    chosen: str  # the agent's level
    order: int  # of the agent's level among all
    heat: np.ndarray  # [7, 7] or, of drift, [5, 5], AC-9 in [-1, 1]
    picture: Image.Image

    @property
    def verdict(self) -> str:
        """What is to be said of heat that has no orange in it."""
        return "" if self.heat.max() > 0 else "nothing speaks for it"


def explain(
    pilot: AdaCompress,
    photo: Photo,
    level: str | None = None,
    formats: Collection[str] | None = None,
) -> Explanation:
    """Which cells of E's map the Q-value of a level comes from; by default of the chosen one.

    `level` is the name of an encoding, or the quality of one alone. `formats` may be sent, by
    default JPEG. Raises ValueError for a level that may not, or that is not the agent's.
    """
    view, agent = pilot.view, pilot.agent
    state = LiveImage(photo, view, pilot.extractor, formats=formats).state
    q_values = agent.q_values(state)  # [actions]
    chosen = equations.best_action(q_values)
    action = chosen if level is None else _action(level, view.encodings)
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


def _action(level: str, encodings: tuple[Encoding, ...]) -> int:
    names = [encoding.name for encoding in encodings]
    for words in (names, [str(encoding.quality) for encoding in encodings]):
        if words.count(level) == 1:
            return words.index(level)
    raise ValueError(f"level {printable(level)}: must be one of {', '.join(names)}")


def sheet(explanations: Sequence[Explanation]) -> Image.Image:
    """Each photograph, and beside it in grey under its heat; the lowest chosen level first."""
    ordered = sorted(explanations, key=lambda explanation: explanation.order)  # stable
    side = _SIDE if len(ordered) == 1 else _SMALL_SIDE
    tiles = [_tile(explanation, side) for explanation in ordered]
    width, height = tiles[0].width + _MARGIN, max(tile.height for tile in tiles) + _MARGIN
    columns = min(len(tiles), _COLUMNS)
    rows, top = -(-len(tiles) // columns), 2 * _MARGIN + 2 * _LINE  # below the scale
    canvas = Image.new("RGB", (_MARGIN + columns * width, top + rows * height), "white")
    _draw_scale(canvas)
    for number, tile in enumerate(tiles):
        row, column = divmod(number, columns)
        canvas.paste(tile, (_MARGIN + column * width, top + row * height))
    return canvas


def _tile(explanation: Explanation, side: int) -> Image.Image:
    """Caption, photograph and overlay."""
    picture, width = fitted(explanation.picture, side), 2 * side + _GAP
    level = f"{explanation.encoding}, Q = {explanation.q_value:.3f}"
    if explanation.encoding != explanation.chosen:
        level += f"; chosen: {explanation.chosen}"
    level += f"; {explanation.verdict}" if explanation.verdict else ""
    tile = Image.new("RGB", (width, 2 * _LINE + picture.height), "white")
    _write(tile, (0, 0), Path(explanation.name).name, width)
    _write(tile, (0, _LINE), level, width)
    tile.paste(picture, (0, 2 * _LINE))
    tile.paste(overlay(picture, explanation.heat), (picture.width + _GAP, 2 * _LINE))
    return tile


def overlay(picture: Image.Image, heat: np.ndarray) -> Image.Image:
    """A picture in grey under heat [rows, columns] in [-1, 1], smoothly enlarged.

    The more heat, the more orange; the more below 0, the more blue; at 0 the picture alone.
    """
    smooth = Image.fromarray(heat.astype(np.float32)).resize(
        picture.size, Image.Resampling.BILINEAR
    )
    grey = picture.convert("L").convert("RGB")
    for colour, share in ((_FOR, np.array(smooth)), (_AGAINST, -np.array(smooth))):
        mask = Image.fromarray((255 * _STRENGTH * share.clip(0, 1)).astype(np.uint8))
        grey.paste(colour, mask=mask)
    return grey


def fitted(image: Image.Image, side: int = _SIDE) -> Image.Image:
    """As large as the square of this side holds, but never so narrow that nothing is seen."""
    scale = side / max(image.size)
    width, height = (max(12, round(length * scale)) for length in image.size)
    return image.resize((width, height), Image.Resampling.BILINEAR)


def _draw_scale(canvas: Image.Image) -> None:
    """The colours from -1 to 1 over grey, and what they mean."""
    bar = overlay(Image.new("RGB", _BAR, "grey"), np.linspace(-1, 1, _BAR[0])[None])
    canvas.paste(bar, (_MARGIN, _MARGIN))
    for share, text in enumerate(("-1 against it", "0", "1 for it")):
        shift = round(share / 2 * (_BAR[0] - ImageFont.load_default(_TEXT).getlength(text)))
        _write(canvas, (_MARGIN + shift, _MARGIN + _BAR[1] + 3), text, _BAR[0])
    left = 2 * _MARGIN + _BAR[0]
    meaning = "heat (AC-9): what speaks for the level named; 1 is an image's strongest"
    _write(canvas, (left, _MARGIN - 3), meaning, canvas.width - left)


def _write(canvas: Image.Image, place: tuple[int, int], text: str, width: int) -> None:
    """A line of text, its middle left out where it is longer than `width` pixels."""
    font = ImageFont.load_default(_TEXT)
    shown, kept = text, min(len(text), width)  # no letter is narrower than a pixel
    while font.getlength(shown) > width:
        kept -= 2
        shown = f"{text[: kept // 2]}...{text[-(kept // 2) :]}"
    ImageDraw.Draw(canvas).text(place, shown, "black", font)
