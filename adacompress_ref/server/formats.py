"""Four image services as they are on the wire: what `adacompress serve` answers."""

from __future__ import annotations

from .baidu import Baidu, BaiduTokens
from .facepp import FacePP
from .google import GoogleVision
from .rekognition import Rekognition
from .wire_format import WireFormat


def all_formats() -> tuple[WireFormat, ...]:
    """One of each, with no tokens given out yet."""
    tokens: set[str] = set()
    return Rekognition(), Baidu(tokens), BaiduTokens(tokens), FacePP(), GoogleVision()
