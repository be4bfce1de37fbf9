"""Pictures that people upload: made small, stripped of everything but the picture, known by their digest."""

from __future__ import annotations

import io
from hashlib import blake2b

MOST_PIXELS = 40_000_000
"""Width × height of the largest picture that is decoded: 160 MB of memory."""
LARGEST = 1200
"""The longer side of what is kept, in pixels."""
FORMATS = ("PNG", "JPEG", "GIF", "WEBP", "BMP")


class BadPicture(ValueError):
    """Not a picture, or one too large; the message is a sentence of the catalogue."""


def shrink(data: bytes) -> bytes:
    """A picture as WebP, upright, at most 1200 pixels wide and high, without EXIF. Raises BadPicture."""
    # Imported by need: workers know pictures by their digest alone.
    from PIL import Image, ImageOps

    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            if image.width * image.height > MOST_PIXELS:
                raise BadPicture("Hình {name} quá lớn (nhiều nhất 40 triệu điểm ảnh).")
            upright = ImageOps.exif_transpose(image)
            plain = upright.convert("RGBA" if upright.has_transparency_data else "RGB")
    except (OSError, SyntaxError, ValueError, MemoryError, Image.DecompressionBombError) as error:
        if isinstance(error, BadPicture):
            raise
        raise BadPicture("Không đọc được hình {name}.") from error
    plain.thumbnail((LARGEST, LARGEST), Image.Resampling.LANCZOS)
    plain.info.clear()
    body = io.BytesIO()
    plain.save(body, "WEBP", quality=80, method=4)
    return body.getvalue()


def digest_of(body: bytes) -> str:
    """The name of a picture: 32 hexadecimal digits."""
    return blake2b(body, digest_size=16).hexdigest()
