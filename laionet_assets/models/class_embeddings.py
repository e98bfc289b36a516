"""The text side of zero-shot prediction: every class's texts as one unit vector.

80 templates of 1,000 classes are 80,000 texts, an hour of a CPU's time for CLIP ViT-B/32: class embeddings can be kept
in a folder by what they depend on.
"""

from pathlib import Path

import numpy as np

from laionet_assets.models.identity import identity
from laionet_assets.models.prompts import ClassPrompts
from laionet_assets.models.spec import ModelSpec
from laionet_assets.models.text_encoder import load_text_encoder
from laionet_assets.warehouse.lake import write_whole


def class_embeddings(spec: ModelSpec, *, prompts: ClassPrompts, cache: Path | None = None) -> np.ndarray:
    """One unit vector a class, float32 of shape (classes, dimension): the mean direction of the class's texts.

    As OpenAI's ensemble: texts are normalised, averaged, and normalised again. `cache` is the folder that keeps them.
    Raises ModelError as `load_text_encoder`.
    """
    kept = cache / f"{_file_name(f'{identity(spec)}+prompts:{prompts.digest[:16]}')}.npy" if cache else None
    if kept is not None and kept.is_file():
        return np.load(kept, allow_pickle=False)
    vectors = load_text_encoder(spec).encode([text for texts in prompts.texts for text in texts])
    ends = np.cumsum([len(texts) for texts in prompts.texts])
    means = np.stack([part.mean(axis=0) for part in np.split(vectors, ends[:-1])])
    classes = (means / np.linalg.norm(means, axis=1, keepdims=True)).astype(np.float32)
    if kept is not None:
        write_whole(kept, lambda file: np.save(file, classes, allow_pickle=False))
    return classes


def _file_name(text: str) -> str:
    return "".join(character if character.isalnum() or character in "-.+" else "_" for character in text)
