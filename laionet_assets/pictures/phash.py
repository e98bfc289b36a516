"""The perceptual hash of a decoded picture: pictures that look the same differ in few of its 64 bits.

Not here: decoding, and from how many bits on two pictures are held to be one (`stats.duplicates`).
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image

BITS = 64


def perceptual_hash(image: "Image") -> int:
    """A number of 64 bits, in [0, 2^64): which of the 8 x 8 lowest frequencies of the picture lie above their median.

    The picture is made grey and 32 x 32 pixels small, then transformed (DCT), so its size, format and slight changes of
    brightness hardly matter; mirrored, turned or cropped pictures have other hashes. The first bit is that of the mean
    brightness, then row by row. ImageHash's `phash`, after Zauner (2010): `imagehash.hex_to_hash(f"{n:016x}")` is it.
    """
    import numpy as np
    from imagehash import phash

    return int.from_bytes(np.packbits(phash(image).hash.ravel()).tobytes(), "big")
