"""The services' wire formats, server side."""

from __future__ import annotations

from .baidu import Baidu, BaiduTokens
from .facepp import FacePP
from .formats import WireFormat
from .google import GoogleVision
from .rekognition import Rekognition


def all_formats() -> tuple[WireFormat, ...]:
    """One of each, with no tokens given out yet."""
    tokens: set[str] = set()
    return Rekognition(), Baidu(tokens), BaiduTokens(tokens), FacePP(), GoogleVision()
