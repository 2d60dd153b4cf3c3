"""What of a photograph's EXIF can be kept beside the pixels that are written."""

from __future__ import annotations

from PIL import ExifTags, Image
from PIL.TiffImagePlugin import PREFIXES

from ..imaging.read import Photo, quiet
from ..imaging.tiff import DESCRIPTIVE

_EXIF, _GPS = 34665, 34853  # directories of their own
# Not so any more: orientation, colours (of TIFF, interoperability, gamma).
_GONE = {_EXIF, _GPS, 274, 301, 318, 319, 529, 532, 40965, 42240}
_SIDES, _COLOUR_SPACE, _SRGB = (256, 257, 40962, 40963), 40961, 1
_ROOM = 65_400  # bytes; a segment of JPEG has 65,533


def kept_exif(photo: Photo, resized: bool) -> tuple[bytes | None, list[str]]:
    """EXIF of the picture, None where there is none, and the names of tags that cannot be kept.

    Tags of its size are left out where it may be `resized`.
    """
    said = photo.said
    if said is None:
        return None, ["all of it"]
    tags, kept, lost, room = [], Image.Exif(), [], _ROOM
    now = dict(zip(_SIDES, photo.picture.size * 2, strict=True)) | {_COLOUR_SPACE: _SRGB}
    for directory in (0, _EXIF, _GPS):
        try:
            with quiet():
                found = said.get_ifd(directory) if directory else said
                tags += [(directory, *item) for item in found.items() if item[0] not in _GONE]
        except Exception:  # Pillow raises nearly every kind
            lost.append(ExifTags.TAGS.get(directory, "all of it"))
    for directory, tag, value in sorted(tags, key=lambda entry: len(repr(entry[2]))):
        elsewhere = photo.file[:4] in PREFIXES and not directory and tag not in DESCRIPTIVE
        if elsewhere or (resized and tag in _SIDES):
            continue
        alone, value = Image.Exif(), now.get(tag, value)
        alone[directory or tag] = {tag: value} if directory else value
        try:
            size = len(alone.tobytes())
        except Exception:
            size = room + 1
        if size > room:
            names = ExifTags.GPSTAGS if directory == _GPS else ExifTags.TAGS
            lost.append(str(names.get(tag, tag)))
            continue
        room -= size
        (kept.setdefault(directory, {}) if directory else kept)[tag] = value
    return kept.tobytes() if len(kept) else None, lost
