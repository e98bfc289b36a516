"""Nearest captions of the web, from indexed parts to the image set, beside every pair of captions in numpy."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from laionet_assets.assets import nearest_captions
from laionet_assets.encoders import embeddings
from laionet_assets.sample.classes import sample_classes
from laionet_assets.warehouse.table import PartKey
from tests.integration.test_captions_stage import captioned, entries, make
from tests.integration.world import CONFIG, World

pytestmark = pytest.mark.integration

PARTS = [PartKey("web", "part-0"), PartKey("web", "part-1")]
PLACES = ["at the sea", "in the park", "on a table", "for sale", "at night", "in the snow", "by my sister", "in a box"]
SEARCH = {"threshold": 0.6, "fetch_above": 0.5}
INDEX = ("core.caption_index", "core.caption_neighbours", "core.neighbour_requests")


def texts(part: PartKey) -> list[str]:
    """Captions of a part, some of them twice."""
    number = PARTS.index(part)
    found = [f"{one.name} {place} {number}" for one in sample_classes() for place in PLACES]
    return [*found, *found[:10], "photo of day 3 at the sea", f"my {sample_classes()[number].name} photo"]


def publish_captions(world: World, part: PartKey, captions: list[str] | None = None) -> None:
    rows = [
        {"source": part.source, "part": part.part, "sample_id": 100_000_000 * PARTS.index(part) + i, "caption": text,
         "url": f"http://web/{part.part}/{i}", "nsfw": "NSFW" if i % 50 == 7 else "UNLIKELY"}
        for i, text in enumerate(captions if captions is not None else texts(part))
    ]  # fmt: skip
    world.publish("core.searched_captions", rows, part)
    with world.pipeline.warehouse.connect() as connection:
        for row in rows:
            ((row["caption_id"],),) = connection.execute("select md5_number_lower(?)", [row["caption"]]).fetchall()
    world.publish("core.searched_captions", rows, part)


def searched(folder: Path, **more: Any) -> World:
    world = captioned(folder, neighbours=SEARCH | more)
    make(world)
    world.make("raw.neighbours")
    for part in PARTS:
        publish_captions(world, part)
        world.publish("core.caption_embeddings", [], part)
        for name in INDEX:
            world.make(name, part=part)
    world.make("core.neighbours")
    return world


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return searched(tmp_path_factory.mktemp("nearest"))


def embedded(captions: list[str]) -> np.ndarray:
    from laionet_assets.models.spec import TEXT_ENCODER, parse_model
    from laionet_assets.models.text_encoder import load_text_encoder

    spec = parse_model(TEXT_ENCODER, CONFIG["text_encoders"][0]["model"], name="minilm")
    return load_text_encoder(spec).encode(captions).astype(np.float16).astype(np.float64)


def nearest_found(world: World) -> list[bool]:
    """Of each caption that was looked for, whether the nearest of all is found; what is found is told as it is."""
    every = [(part, i, text) for part in PARTS for i, text in enumerate(texts(part))]
    asked = world.rows("select name, caption from core_set_captions order by name")
    cosines = embedded([caption for _, caption in asked]) @ embedded([text for *_, text in every]).T
    rows = {
        name: rest
        for name, *rest in world.rows("select name, part, sample_id, similarity, caption from core_neighbours")
    }
    assert len(rows) == len(asked) == len(entries())
    found = []
    for (name, _), of_caption in zip(asked, cosines, strict=True):
        part, sample_id, similarity, caption = rows[name]
        place = next(i for i, (p, _, text) in enumerate(every) if (p.part, text) == (part, caption))
        assert sample_id % 100_000_000 == every[place][1], "the first sample with this caption"
        assert similarity == pytest.approx(of_caption[place], abs=1e-3)
        found.append(bool(similarity >= of_caption.max() - 1e-3))
    return found


def test_the_nearest_of_all_parts_are_those_of_every_pair(world: World) -> None:
    assert all(nearest_found(world))


def test_recall_is_measured_on_other_captions(world: World) -> None:
    rows = world.rows(
        "select distinct part, recall, measured_on, candidates from core_caption_neighbours order by part"
    )
    distinct = len({tuple(sorted(entry.items(), key=str)) for entry in map(str_of, entries())})
    assert [(part, recall) for part, recall, *_ in rows] == [("part-0", 1.0), ("part-1", 1.0)]
    assert {measured for _, _, measured, _ in rows} == {distinct // 2}


def str_of(entry: dict[str, object]) -> dict[str, str]:
    return {name: str(entry[name]) for name in ("title", "tags", "description")}


def test_a_caption_is_indexed_once_by_its_first_sample(world: World) -> None:
    for part in PARTS:
        ((captions, ids, samples),) = world.rows(
            f"select captions, caption_ids, sample_ids from core_caption_index where part = '{part.part}'"
        )
        assert captions == len(set(ids)) == len(set(texts(part)))
        assert max(samples) % 100_000_000 == len(texts(part)) - 1 and samples == sorted(samples)


def test_what_is_unsafe_or_too_far_is_no_member_and_not_asked_for(world: World) -> None:
    rows = world.rows("select reason, similarity, sample_id % 100000000 from core_neighbours")
    assert {reason for reason, *_ in rows} >= {None, "below_threshold"}
    for reason, similarity, sample_id in rows:
        unsafe = sample_id % 50 == 7
        assert reason == ("nsfw_tag" if unsafe else "below_threshold" if similarity <= 0.6 else None)
    asked = world.rows("select similarity, sample_id % 100000000 from core_neighbour_requests")
    assert asked and all(similarity > 0.5 and sample_id % 50 != 7 for similarity, sample_id in asked)
    members = {tuple(row) for row in world.rows("select part, sample_id from core_neighbours where reason is null")}
    assert members <= {tuple(row) for row in world.rows("select part, sample_id from core_neighbour_requests")}


@pytest.mark.slow
def test_what_was_removed_leaves_and_nothing_is_embedded_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world, part = searched(tmp_path), PARTS[0]
    ((alone,),) = world.rows(
        f"select sample_id from core_caption_neighbours where part = '{part.part}' and sample_id >= 10 limit 1"
    )
    before = world.rows("select piece, captions, built_by from core_caption_index where part = 'part-0'")
    monkeypatch.setattr(embeddings, "_embed", no_embedding)
    removals(world, f"sample,web/{alone},asked for")
    world.make("core.removals")
    for name in INDEX:
        world.make(name, part=part)
    assert world.rows("select piece, captions, built_by from core_caption_index where part = 'part-0'") == [
        (number, captions - 1, label) for number, captions, label in before
    ]
    assert world.rows(f"select count(*) from core_caption_neighbours where sample_id = {alone}") == [(0,)]

    removals(world, "url,http://web/part-0/0,asked for")
    world.make("core.removals")
    for name in INDEX:
        world.make(name, part=part)
    ((ids,),) = world.rows("select sample_ids from core_caption_index where part = 'part-0'")
    second = len(sample_classes()) * len(PLACES)
    assert 0 not in ids and second in ids, "another sample has the same caption"
    assert texts(part)[0] == texts(part)[second]


def removals(world: World, line: str) -> None:
    path = world.folder / "removals.csv"
    world.config = world.config | {"images": {"removals": "./removals.csv"}}
    path.write_text((path.read_text() if path.exists() else "kind,value,reason\n") + line + "\n")


def no_embedding(*_: object, **__: object) -> None:
    raise AssertionError("embedded again")


@pytest.mark.slow
def test_a_new_model_or_caption_embeds_what_is_not_known(tmp_path: Path) -> None:
    world, part = searched(tmp_path), PARTS[0]
    publish_captions(world, part, [*texts(part), "a caption that is new"])
    asked: list[int] = []
    real = embeddings._embed

    def counted(encoder: Any, captions: Any, **named: Any) -> Any:
        asked.append(len(captions))
        return real(encoder, captions, **named)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(embeddings, "_embed", counted)
        world.make("core.caption_index", part=part)
    assert asked == [1]
    assert world.rows("select captions from core_caption_index where part = 'part-0'") == [(len({*texts(part)}) + 1,)]


def test_candidates_are_not_embedded_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world, part = captioned(tmp_path, neighbours=SEARCH), PARTS[0]
    world.make("raw.neighbours", "core.removals")
    publish_captions(world, part, ["a cat", "a dog", "a fox"])
    rows = world.rows("select source, part, caption_id, caption from core_searched_captions")
    vectors = embedded([row[3] for row in rows])
    world.publish("core.caption_embeddings", [], part)
    world.make("core.caption_index", part=part)
    ((model,),) = world.rows("select distinct model from core_caption_index")
    known = [
        {
            "encoder": "minilm",
            "model": model,
            "source": source,
            "part": name,
            "caption_id": key,
            "embedding": v.tolist(),
        }
        for (source, name, key, _), v in zip(rows, vectors, strict=True)
    ]
    (world.folder / "warehouse" / "core" / "caption_index").rename(world.folder / "gone")
    world.publish("core.caption_embeddings", known, part)
    monkeypatch.setattr(embeddings, "_embed", no_embedding)
    world.make("core.caption_index", part=part)
    assert world.rows("select captions, cells from core_caption_index") == [(3, 1)]


@pytest.mark.slow
def test_many_pieces_are_one_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from laionet_assets.neighbours import index

    monkeypatch.setattr(index, "PIECE_ROWS", 70)
    monkeypatch.setattr(nearest_captions, "_ROWS", 50)
    monkeypatch.setattr(index.build_pieces, "__kwdefaults__", {"max_rows": 70})
    world = searched(tmp_path)
    rows = world.rows("select piece, captions, sample_ids from core_caption_index where part = 'part-0' order by piece")
    count = len({*texts(PARTS[0])})
    assert [captions for _, captions, _ in rows] == [70] * (count // 70) + [count % 70]
    assert [piece for piece, *_ in rows] == list(range(len(rows)))
    assert np.mean(nearest_found(world)) > 0.9


def test_without_a_search_all_is_empty(tmp_path: Path) -> None:
    world, part = captioned(tmp_path), PARTS[0]
    make(world)
    world.make("raw.neighbours")
    world.publish("core.searched_captions", [], part)
    world.publish("core.caption_embeddings", [], part)
    for name in INDEX:
        world.make(name, part=part)
    world.make("core.neighbours")
    assert world.rows("select count(*) from core_caption_neighbours") == [(0,)]
    assert world.rows("select count(*) from core_neighbours") == [(0,)]
