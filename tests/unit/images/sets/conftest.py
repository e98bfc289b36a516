"""Small pictures and the classes of ImageNet-1k, for tests of image sets."""

import io
from collections.abc import Callable

import pytest
from PIL import Image

from laionet_assets.taxonomy import load_synsets

Encoder = Callable[..., bytes]


@pytest.fixture(scope="session")
def imagenet_wnids() -> list[str]:
    """The 1,000 wnids by class index."""
    synsets = sorted(load_synsets("imagenet-1k"), key=lambda synset: synset.class_index)
    return [synset.wnid for synset in synsets]


@pytest.fixture(scope="session")
def encoded() -> Encoder:
    """Encodes a picture of one colour: `encoded("PNG", mode="L", size=(10, 10), colour=3)`."""

    def encode(kind: str = "JPEG", *, mode: str = "RGB", size: tuple[int, int] = (16, 12), colour: object = 0) -> bytes:
        buffer = io.BytesIO()
        Image.new(mode, size, colour).save(buffer, kind)
        return buffer.getvalue()

    return encode
