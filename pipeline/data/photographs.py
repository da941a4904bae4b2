"""One photograph: from its encoded bytes to a square of pixels, the standard way of ImageNet.

Training cuts a random window out of it, at random aspect, and mirrors half of them; evaluation takes the central square.
Either is resized by an antialiased bicubic filter (Pillow's; the authors' is bicubic without antialiasing). Needs numpy and
Pillow.
"""

from __future__ import annotations

import hashlib
import io
import math
from random import Random

import numpy as np

AREA = (0.08, 1.0)
"""Least and largest share of the photograph that a random window has (Szegedy et al. 2015, section 6)."""
ASPECT = (3 / 4, 4 / 3)
"""Least and largest width over height of a random window."""
ATTEMPTS = 10
"""Windows that are drawn before the central square is taken; one that does not fit is drawn again."""
CENTRAL = 224 / 256
"""Side of the square that is judged over the photograph's shorter side: resized to 256, of which the central 224 are taken."""

Window = tuple[int, int, int, int]
"""Left, top, right, bottom in pixels; the last two are outside."""


def view(encoded: bytes, size: int, draw: Random | None = None) -> np.ndarray:
    """A square of the photograph, uint8 [size, size, 3], RGB.

    Args:
        encoded: a JPEG file, or any other that Pillow reads; greyscale and CMYK become RGB, orientation tags are ignored.
        size: pixels on each side.
        draw: of the random window and the mirroring; None: the central square.

    Raises:
        OSError, SyntaxError or ValueError: for bytes that are no image, or a damaged one; Pillow's own.
    """
    # Imported here: networks that learn from tensors are trained where Pillow need not be.
    from PIL import Image

    image = Image.open(io.BytesIO(encoded))
    mirrored = False
    if draw is None:
        window = central_window(*image.size)
    else:
        window = random_window(*image.size, draw)
        mirrored = draw.random() < 0.5
    if image.mode != "RGB":
        image = image.convert("RGB")
    square = image.resize((size, size), Image.Resampling.BICUBIC, box=window)
    return np.asarray(square.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if mirrored else square)


def check(encoded: bytes) -> int:
    """The first eight bytes of the SHA-256 of a photograph's file, as a signed integer: a change of it is noticed."""
    return int.from_bytes(hashlib.sha256(encoded).digest()[:8], "big", signed=True)


def central_window(width: int, height: int) -> Window:
    """The central square of ``CENTRAL`` times the shorter side."""
    side = max(1, round(min(width, height) * CENTRAL))
    left, top = (width - side) // 2, (height - side) // 2
    return left, top, left + side, top + side


def random_window(width: int, height: int, draw: Random) -> Window:
    """A window of random area (uniform), aspect (uniform in its logarithm) and place, within ``AREA`` and ``ASPECT``."""
    for _ in range(ATTEMPTS):
        area = width * height * _between(*AREA, draw)
        aspect = math.exp(_between(*map(math.log, ASPECT), draw))
        across, down = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 1 <= across <= width and 1 <= down <= height:
            left, top = int(draw.random() * (width - across + 1)), int(draw.random() * (height - down + 1))
            return left, top, left + across, top + down
    return central_window(width, height)


def _between(low: float, high: float, draw: Random) -> float:
    # Of Random, only random() is promised to give the same numbers in every version of Python.
    return low + (high - low) * draw.random()
