"""The published way of each stage, in plain Python and pandas: what the stages are compared with.

Written from the statement of the method (Shirali & Hardt, TMLR 2025, and its research code) in our own words: the same
loops over the same things in the same order, without what is not the work itself (its process pool makes the match 7
times as dear; its files of pickled rows and its checkpoints, a whole rewrite each, are left out).
"""

import string
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from laionet_assets.predictors.heads import Head

PUNCTUATION_TO_SPACES = str.maketrans(dict.fromkeys(string.punctuation, " "))
BATCH_ROWS = 64
BATCH_PICTURES = 32
Encode = Callable[[Sequence[str]], "np.ndarray"]


def lemma_to_wnid(synsets: Iterable[tuple[str, Sequence[str]]]) -> dict[str, str]:
    """Lemmas that occur exactly once over the lists of (wnid, lemmas), in their order, with their class."""
    listed = list(synsets)
    count = Counter(lemma for _, lemmas in listed for lemma in lemmas)
    return {lemma: wnid for wnid, lemmas in listed for lemma in lemmas if count[lemma] == 1}


def match(frame: "pd.DataFrame", lemmas: Mapping[str, str]) -> dict[str, list[int]]:
    """Lemma -> indices of the rows whose TEXT contains it: row after row, lemma after lemma, each lemma padded with
    spaces at every test.

    Rows without a text are skipped.
    """
    found: dict[str, list[int]] = {}
    for index, row in frame.iterrows():
        if not isinstance(row["TEXT"], str):
            continue
        text = " " + row["TEXT"].translate(PUNCTUATION_TO_SPACES) + " "
        for lemma in lemmas:
            if " " + lemma + " " in text:
                found.setdefault(lemma, []).append(index)
    return found


def match_padded_once(captions: Iterable[str], lemmas: Mapping[str, str]) -> dict[str, list[int]]:
    """`match` in its kindest reading: over plain strings, every lemma padded once beforehand."""
    padded = [(f" {lemma} ", lemma) for lemma in lemmas]
    found: dict[str, list[int]] = {}
    for index, caption in enumerate(captions):
        text = " " + caption.translate(PUNCTUATION_TO_SPACES) + " "
        for with_spaces, lemma in padded:
            if with_spaces in text:
                found.setdefault(lemma, []).append(index)
    return found


def similarities(captions: Sequence[str], queries: Sequence[str], encode: Encode) -> "np.ndarray":
    """Cosine of caption and query, row by row (float64, one a row): 64 rows at a time in the order given, captions
    embedded, then queries, though a query comes again in every row of its class.

    `encode`: texts to vectors (texts, dimension), not yet of length one.
    """
    import numpy as np

    found = []
    for start in range(0, len(captions), BATCH_ROWS):
        left = _of_length_one(encode(list(captions[start : start + BATCH_ROWS])))
        right = _of_length_one(encode(list(queries[start : start + BATCH_ROWS])))
        found.append((left * right).sum(axis=1))
    return np.concatenate(found).astype(np.float64)


def sentence_encoder(folder: Path) -> Encode:
    """sentence-transformers' own `encode` with its defaults (batches of 32 texts, sorted by length inside a call)."""
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(folder), device="cpu")
    return lambda texts: model.encode(texts, show_progress_bar=False)


def select(parquet: Path, members: Mapping[str, Sequence[int]], out: Path, *, threshold: float) -> dict[str, list[int]]:
    """The rows of a recipe: those tagged UNLIKELY, of each class those strictly above the threshold.

    `parquet`: one row a sample, columns similarity, NSFW and those of the source, index sample_id; `members`: class ->
    its samples. Writes the chosen rows, sorted by index, to `out`; returns the chosen of every class, also none.
    """
    import pandas as pd

    frame = pd.read_parquet(parquet).set_index("sample_id")
    frame.loc[frame["NSFW"] != "UNLIKELY", "similarity"] = float("nan")
    chosen = {}
    for wnid, indices in members.items():
        similarity = frame.loc[indices, "similarity"]
        chosen[wnid] = list(similarity.index[similarity > threshold])
    _write(frame, chosen, out)
    return chosen


def top_k(parquet: Path, members: Mapping[str, Sequence[int]], out: Path, *, k: int) -> dict[str, list[int]]:
    """The k most similar rows of each class, by an ascending argsort of the class; all where there are fewer.

    Writes the rows, sorted by index, to `out`; `parquet` and `members` are what `select` made.
    """
    import numpy as np
    import pandas as pd

    frame = pd.read_parquet(parquet)
    chosen = {}
    for wnid, indices in members.items():
        if len(indices) < k:
            chosen[wnid] = list(indices)
            continue
        similarity = frame.loc[indices, "similarity"].to_numpy()
        chosen[wnid] = list(np.array(indices)[np.argsort(similarity)[-k:]])
    _write(frame, chosen, out)
    return chosen


def evaluate(predictions: "pd.DataFrame", wnids: Mapping[str, Sequence[str]], *, k: int) -> "pd.Series":
    """Whether one of the first k predictions is among the classes of the image: row after row; None without a prediction.

    `predictions`: index image, columns '0' to '4' of wnids, the best first; `wnids`: image -> its classes.
    """
    import pandas as pd

    correct: dict[str, bool | None] = dict.fromkeys(wnids)
    for index, row in predictions.iterrows():
        correct[str(index)] = any(row[str(place)] in wnids[str(index)] for place in range(k))
    return pd.Series(correct, dtype=object)


def recalls(correct: "pd.Series", members: Mapping[str, Sequence[str]]) -> dict[str, tuple[float, float]]:
    """Recall and standard error of every class with a prediction, the set of all images made anew for each class.

    The error is half the width of the 95% Wilson interval over 1.96.
    """
    from laionet_assets.stats import wilson_se

    found = {}
    for wnid, images in members.items():
        known = set(correct.index)
        values = [value for value in correct.loc[[image for image in images if image in known]] if value is not None]
        if values:
            found[wnid] = (sum(values) / len(values), wilson_se(sum(values), len(values)))
    return found


def accuracy(recalls_by_class: Mapping[str, tuple[float, float]]) -> tuple[float, float]:
    """Mean of the recalls, and its standard error."""
    from laionet_assets.stats import combine_recalls

    recalled, errors = zip(*recalls_by_class.values(), strict=True)
    return combine_recalls(recalled, errors)


def predictions(files: Sequence[BinaryIO], models: Mapping[str, "Head"], *, k: int = 5) -> dict[str, list[list[str]]]:
    """The k best wnids of every picture by model: one model after the other, 32 pictures at a time, each decoded again.

    Torch computes a batch with the threads that it is set to. Pictures that are not RGB are converted (the research
    code leaves them out).
    """
    import torch
    from PIL import Image

    found: dict[str, list[list[str]]] = {}
    for name, head in models.items():
        model = head.module.eval()
        found[name] = []
        for start in range(0, len(files), BATCH_PICTURES):
            images = [Image.open(file).convert("RGB") for file in files[start : start + BATCH_PICTURES]]
            inputs = torch.stack([head.prepare.tensor(image) for image in images])
            with torch.no_grad():
                logits = model(inputs)[:, list(head.columns)]
            best = logits.argsort(dim=1, descending=True)[:, :k]
            found[name] += [[head.wnids[column] for column in row] for row in best.tolist()]
    return found


def intra_class_matrices(classes: Iterable["np.ndarray"], folder: Path) -> list[Path]:
    """The similarities within each class as a pickle: its embeddings, shape (images, dimension), normalised, and their
    whole matrix.
    """
    import pickle

    paths = []
    for number, vectors in enumerate(classes):
        unit = _of_length_one(vectors)
        paths.append(folder / f"{number}.pkl")
        paths[-1].write_bytes(pickle.dumps({"index": list(range(len(vectors))), "similarities": unit @ unit.T}))
    return paths


def intra_class(
    paths: Iterable[Path], *, draws: int = 100, bins: int = 70
) -> tuple["np.ndarray", list[tuple[float, float]]]:
    """The figures of the pickles: a histogram of pairs drawn from every class, then mean and error of each class.

    As two cells of a notebook, each of which takes the pairs of a class anew from its matrix.
    """
    import pickle

    import numpy as np

    rng = np.random.default_rng(0)
    matrices = [pickle.loads(path.read_bytes())["similarities"] for path in paths]
    drawn = []
    for matrix in matrices:
        pairs = below_diagonal(matrix)
        drawn.append(rng.choice(pairs, min(len(pairs), draws)))
    histogram, _ = np.histogram(np.concatenate(drawn), bins=bins, density=True)
    figures = []
    for matrix in matrices:
        pairs = below_diagonal(matrix)
        figures.append((float(np.mean(pairs)), float(1.96 * np.std(pairs) / np.sqrt(len(pairs) - 1))))
    return histogram, figures


def intra_class_at_once(classes: Iterable["np.ndarray"], *, bins: int = 200) -> tuple["np.ndarray", list[float]]:
    """The same in its kindest reading: nothing written, pairs taken once, mean and histogram of all of them."""
    import numpy as np

    counts, means = np.zeros(bins, dtype=int), []
    for vectors in classes:
        unit = _of_length_one(vectors)
        pairs = below_diagonal(unit @ unit.T)
        means.append(float(np.mean(pairs)))
        counts += np.histogram(pairs, bins=bins, range=(-1, 1))[0]
    return counts, means


def below_diagonal(matrix: "np.ndarray") -> "np.ndarray":
    """The entries below the diagonal, by a mask made anew."""
    import numpy as np

    return matrix[np.tril(np.ones(matrix.shape), -1) == 1]


def _write(frame: "pd.DataFrame", chosen: Mapping[str, Sequence[int]], out: Path) -> None:
    kept: set[int] = set()
    for indices in chosen.values():
        kept.update(indices)
    frame.loc[sorted(kept)].to_parquet(out)


def _of_length_one(vectors: Any) -> "np.ndarray":
    from sklearn.preprocessing import normalize

    return normalize(vectors)
