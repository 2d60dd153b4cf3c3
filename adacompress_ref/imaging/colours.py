"""Any colour space that a file may have, to sRGB."""

from __future__ import annotations

import io
import struct
from typing import Any

import numpy as np
from PIL import Image, ImageChops, ImageCms

# x and y of white, red, green and blue
_SRGB = (0.3127, 0.329, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06)
_ADOBE_RGB = (*_SRGB[:4], 0.21, 0.71, *_SRGB[6:])
# Entries of EXIF in either byte order: InteroperabilityIndex R03, ColorSpace 2.
_SAY_ADOBE_RGB = (
    *(b"\1\0\2\0\4\0\0\0R03\0", b"\0\1\0\2\0\0\0\4R03\0"),
    *(b"\1\xa0\3\0\1\0\0\0\2\0", b"\xa0\1\0\3\0\0\0\1\0\2"),
)
_D50 = np.array([0.9642, 1, 0.8249])
_CONES = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])


def to_srgb(image: Image.Image, icc: bytes | None) -> Image.Image:
    """Mode RGB: converted from the profile, if any, to sRGB; transparency on white."""
    if image.mode.startswith("I"):
        image = _eight_bits(image)
    mode = {"1": "L", "L": "L", "LA": "L", "CMYK": "CMYK"}.get(image.mode, "RGB")
    alpha = None
    if image.has_transparency_data:
        image = image if image.mode in ("RGBA", "LA") else image.convert("RGBA")
        alpha = image.getchannel("A")
    colours = _through_profile(image.convert(mode), icc) if icc else None
    if colours is None:  # a broken profile counts as none
        colours = image if image.mode == "RGB" else image.convert("RGB")
    if alpha is not None:
        colours.paste("white", mask=ImageChops.invert(alpha))
    return colours


def _eight_bits(image: Image.Image) -> Image.Image:
    """Mode L or LA of grey that has up to 16 bits."""
    tags, values = getattr(image, "tag_v2", {}), np.asarray(image)  # [h, w]
    grey = (values >> tags.get(258, (16,))[0] - 8).astype(np.uint8)
    small = Image.fromarray(~grey if tags.get(262) == 0 else grey)  # white may be zero
    if "transparency" in image.info:
        small.putalpha(Image.fromarray(values != image.info["transparency"]))
    return small


def said_profile(info: dict[Any, Any], exif: bytes) -> bytes | None:
    """The ICC profile that gAMA and cHRM of a PNG stand for, or EXIF; None for sRGB."""
    gamma, points = 256 / 563, _ADOBE_RGB
    if "srgb" not in info and {"gamma", "chromaticity"} & info.keys():
        gamma, points = info.get("gamma", 1 / 2.2), info.get("chromaticity", _SRGB)
    elif not any(entry in exif for entry in _SAY_ADOBE_RGB):
        return None
    like_srgb = abs(2.2 * gamma - 1) < 0.05 and np.allclose(points, _SRGB, atol=0.002)
    x, y = np.reshape(points, (4, 2)).T
    if like_srgb or not 0.01 < gamma < 100 or min(y) <= 0:
        return None
    columns = np.stack([x / y, y / y, (1 - x - y) / y])  # XYZ of white, red, green, blue
    white, colours = columns[:, 0], columns[:, 1:]
    if abs(np.linalg.det(colours)) < 1e-3:
        return None
    cones = _CONES @ _D50 / (_CONES @ white)
    adapted = np.linalg.solve(_CONES, cones[:, None] * _CONES)  # Bradford
    colours = adapted @ (colours * np.linalg.solve(colours, white))
    parts = [struct.pack(">4s4xIH6x", b"curv", 1, round(256 / gamma))]  # 20 bytes each
    parts += [b"XYZ \0\0\0\0" + _fixed(colour) for colour in colours.T]
    names = (b"rTRC", b"gTRC", b"bTRC", b"rXYZ", b"gXYZ", b"bXYZ")
    table = zip(names, (204, 204, 204, 224, 244, 264), strict=True)
    tags = [struct.pack(">4s2I", name, place, 20) for name, place in table]
    head = struct.pack(">I4xI12s12x4s28x", 284, 0x02400000, b"mntrRGB XYZ ", b"acsp") + _fixed(_D50)
    return b"".join([head.ljust(128, b"\0"), struct.pack(">I", 6), *tags, *parts])


def _fixed(values: np.ndarray) -> bytes:
    return np.rint(values * 65536).astype(">i4").tobytes()


def _through_profile(image: Image.Image, icc: bytes) -> Image.Image | None:
    """Mode L, RGB or CMYK to sRGB, relative colorimetric; None if the profile does not fit."""
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
        if image.mode == "L" and profile.profile.xcolor_space.strip() == "RGB":
            image = image.convert("RGB")
        return ImageCms.profileToProfile(
            image,
            profile,
            ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")),
            ImageCms.Intent.RELATIVE_COLORIMETRIC,
            outputMode="RGB",
            flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None


def is_srgb(icc: bytes) -> bool:
    """By what it does to a cube of colours, because sRGB profiles come under many names."""
    cube = np.mgrid[0:256:51, 0:256:51, 0:256:51].reshape(3, 1, 216).transpose(1, 2, 0)
    converted = _through_profile(Image.fromarray(cube.astype(np.uint8)), icc)
    return converted is not None and bool(np.abs(np.asarray(converted) - cube).max() <= 2)
