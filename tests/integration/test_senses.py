"""Whether a caption is nearer to another sense of its class's name: the real encoder, beside a few lines of numpy."""

from pathlib import Path

import numpy as np
import pytest

from laionet_assets.assets import similarity
from laionet_assets.models.spec import TEXT_ENCODER, parse_model
from laionet_assets.models.text_encoder import load_text_encoder
from laionet_assets.taxonomy.synsets import other_senses
from tests.integration.world import CONFIG, PART, World

pytestmark = pytest.mark.integration

CRANES = ("n02012849", "n03126707")
TENCH = "n01440764"
CAPTIONS = 40


def test_each_piece_of_captions_is_compared_as_all_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = {"name": "web", "matching": "corrected", "encoder": "minilm", "text_threshold": 0.5}
    world = World(tmp_path, CONFIG | {"recipes": [recipe]})
    encoder = load_text_encoder(parse_model(TEXT_ENCODER, "sentence-transformers:all-MiniLM-L6-v2", name="minilm"))
    senses = other_senses([*CRANES, TENCH])
    assert set(senses) >= set(CRANES)
    rng = np.random.default_rng(5)
    queries = {wnid: unit(rng.normal(size=384)) for wnid in (*CRANES, TENCH)}
    others = {wnid: encoder.encode([text for _, text in senses[wnid]]) for wnid in CRANES}
    ids = sorted(int(number) for number in rng.integers(0, 2**64, CAPTIONS, dtype=np.uint64))
    vectors, expected = {}, []
    selection, candidates = [], []
    for number, caption_id in enumerate(ids):
        wnids = (CRANES if number % 5 == 0 else CRANES[number % 2 :][:1]) if number % 7 else (TENCH,)
        toward = others[wnids[0]][0] if wnids[0] in others else 0
        vectors[caption_id] = unit(rng.normal(size=384) / 20 + (number % 3) * toward + queries[wnids[0]]).astype("f2")
        for copy in range(1 + number % 2):  # of a caption in two samples
            for wnid in wnids:
                row = {"source": PART.source, "part": PART.part, "sample_id": 10 * number + copy, "wnid": wnid}
                candidates += [
                    row | {"matching": profile, "classes": len(wnids), "caption_id": caption_id, "caption": "c"}
                    for profile in ("paper", "corrected")
                ]
                is_kept = number % 6 > 0
                selection.append(row | {"recipe": "web", "reason": None if is_kept else "below_threshold"})
                if is_kept and wnid in others:
                    caption = unit(vectors[caption_id].astype(float))
                    is_nearer = (others[wnid].astype(float) @ caption).max() > queries[wnid] @ caption
                    expected.append((row["sample_id"], wnid, bool(is_nearer)))
    assert 5 < sum(is_nearer for *_, is_nearer in expected) < len(expected) - 5
    world.publish("core.selection", selection, PART)
    world.publish("core.candidates", candidates, PART)
    of_part = {"encoder": "minilm", "source": PART.source, "part": PART.part}
    embedded = [of_part | {"caption_id": key, "embedding": vector.tolist()} for key, vector in vectors.items()]
    world.publish("core.caption_embeddings", embedded, PART)
    world.publish("core.query_embeddings", [
        {"encoder": "minilm", "wnid": wnid, "embedding": vector.tolist()} for wnid, vector in queries.items()
    ])  # fmt: skip
    found = []
    for captions in (7, CAPTIONS):
        monkeypatch.setattr(similarity, "READ_TEXTS", captions)
        world.make("core.caption_senses", part=PART)
        found.append(world.rows("select sample_id, wnid, is_nearer from core_caption_senses order by all"))
    assert found[0] == found[1] == sorted(expected)


def unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector)
