"""Texts for encoders, and their vectors by the plain way: what the product's way is compared with."""

from typing import Any

import numpy as np

CAPTIONS = [
    "a golden retriever puppy asleep on a red couch",
    "a photo of a dog",
    "Antique brass mantel clock, made in Germany",
    "harp",
    "a sailing boat at sunset. " * 40,
    "",
    "crossword puzzle no 12 with 24 clues",
    "日本語 and ümlauts, 😀!",
    "a photo of a dog",
]

MANY = sorted(
    {*CAPTIONS, *(f"{a} {b * i} {i}" for i in range(9) for a in ("a dog", "Caf\u00e9 &amp; bar") for b in "xy")}
)


TOLERANCE = 3e-6
"""How far two ways through one model may be apart: another order of sums."""


def plain_way(encoder: Any, own_rows: list[list[int]]) -> np.ndarray:
    """Vectors of distinct, sorted texts from lists of ids that a library's own tokenizer gave: longest first, at most
    512 tokens a batch, on one thread.
    """
    import torch

    vectors = np.empty((len(own_rows), encoder.dimension), dtype=np.float32)
    order = sorted(range(len(own_rows)), key=lambda i: -len(own_rows[i]))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    while order:
        longest = len(own_rows[order[0]])
        batch, order = order[: max(1, 512 // longest)], order[max(1, 512 // longest) :]
        rows = [own_rows[i] for i in batch]
        ids = torch.tensor([row + [encoder._tower.pad_id] * (longest - len(row)) for row in rows])
        mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows])
        with torch.inference_mode():
            found = encoder._tower.embed(ids, mask)
            vectors[batch] = torch.nn.functional.normalize(found.float(), dim=1).numpy()
    torch.set_num_threads(threads)
    return vectors
