"""How a picture is to be turned, from its EXIF block: the same few lines on every client.

Pillow's own reading knows more places (XMP, text of ImageMagick) than browsers do, and pictures would differ by them.

    >>> parse(b"no EXIF")
    1
"""

import struct

from PIL import Image

_ORIENTATION, _SHORT = 0x0112, 3  # the tag and the only type that it may have
_BYTE_ORDERS = {b"II*\0": "<", b"MM\0*": ">"}
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def parse(exif: bytes) -> int:
    """The orientation 1 to 8 in an EXIF block, with or without "Exif\\0\\0" before it; 1 where none can be read."""
    tiff = exif.removeprefix(b"Exif\0\0")
    order = _BYTE_ORDERS.get(tiff[:4])
    if order is None:
        return 1
    try:
        (directory,) = struct.unpack_from(order + "I", tiff, 4)
        (entries,) = struct.unpack_from(order + "H", tiff, directory)
        for number in range(entries):
            tag, kind, count, value = struct.unpack_from(order + "HHIH", tiff, directory + 2 + 12 * number)
            if tag == _ORIENTATION:
                return value if kind == _SHORT and count == 1 and 1 <= value <= 8 else 1
    except struct.error:  # it points outside of itself
        pass
    return 1


def upright(image: Image.Image, orientation: int) -> Image.Image:
    """The image as it is to be seen."""
    return image.transpose(_TURNS[orientation]) if orientation in _TURNS else image
