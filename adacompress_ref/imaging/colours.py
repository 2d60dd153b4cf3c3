"""Any colour space that a file may have, to sRGB."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, ImageChops, ImageCms


def to_srgb(image: Image.Image, icc: bytes | None) -> Image.Image:
    """Mode RGB: converted from the profile, if any, to sRGB; transparency on white."""
    if image.mode.startswith(("I", "F")):
        values = np.asarray(image)
        if image.mode == "F" or values.min() < 0 or values.max() > 0xFFFF:
            raise ValueError("values beyond 16 bits have no agreed range")
        image = Image.fromarray((values >> 8).astype(np.uint8))
    mode = {"1": "L", "L": "L", "LA": "L", "CMYK": "CMYK"}.get(image.mode, "RGB")
    alpha = None
    if image.has_transparency_data:
        image = image if image.mode == "RGBA" else image.convert("RGBA")
        alpha = image.getchannel("A")
    colours = _through_profile(image.convert(mode), icc) if icc else None
    if colours is None:  # a broken profile counts as none
        colours = image if image.mode == "RGB" else image.convert("RGB")
    if alpha is not None:
        colours.paste("white", mask=ImageChops.invert(alpha))
    return colours


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
