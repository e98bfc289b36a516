"""Captions of an image set, from their file to marts.text_rank and claim C8, beside a few lines of numpy."""

import json
from pathlib import Path

import numpy as np
import pytest

from laionet_assets.sample.classes import sample_classes
from tests.integration.world import CONFIG, World

pytestmark = pytest.mark.integration

CLASSES = [one.wnid for one in sample_classes()][:12]
UNLISTED = "n03126707"
"""Crane, the machine: a class of the taxonomy that the paper's list does not have."""
ENCODER = "minilm"


def captioned(folder: Path, **more: object) -> World:
    """A set of three pictures a class, and captions of two of them: about the class, and about nothing."""
    (folder / "wnids.txt").write_text("\n".join([*CLASSES, UNLISTED]) + "\n")
    for wnid in [*CLASSES, UNLISTED]:
        (folder / "val" / wnid).mkdir(parents=True)
        for number in range(3):
            (folder / "val" / wnid / f"{wnid}_{number}.jpg").write_bytes(f"{wnid} {number}".encode())
    sets = [{"name": "val", "layout": "imagefolder", "path": "./val", "captions": "./captions.json"}]
    world = World(folder, CONFIG | {"taxonomy": "./wnids.txt", "image_sets": sets} | more)
    write(world, entries())
    return world


def entries() -> list[dict[str, object]]:
    found: list[dict[str, object]] = []
    for one in sample_classes()[:12]:
        about = {"title": f"my {one.name}", "tags": [one.name, "photo"], "description": f"this is a {one.name}"}
        nothing = {"title": "holiday", "tags": [], "description": f"day {len(found)} at the sea"}
        found += [{"filename": f"{one.wnid}_0.JPEG", "wnid": one.wnid} | about]
        found += [{"filename": f"{one.wnid}/{one.wnid}_1.jpg"} | nothing]
    crane = {"title": "a crane lifts a beam", "tags": [], "description": "machine"}
    return [*found, {"filename": "elsewhere.jpg", "wnid": UNLISTED} | crane]


def write(world: World, rows: list[dict[str, object]]) -> None:
    (world.folder / "captions.json").write_text(json.dumps(rows))


def make(world: World) -> None:
    world.make("raw.synsets", "staging.queries", "core.query_embeddings", "core.removals")
    world.make("core.set_files", "core.set_images")
    world.make("core.set_captions", "core.set_caption_embeddings", "core.text_ranks", "marts.text_rank")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    made = captioned(tmp_path_factory.mktemp("captions"))
    make(made)
    return made


def test_captions_go_with_the_pictures_that_they_name(world: World) -> None:
    rows = world.rows("select name, image_id, wnid, caption from core_set_captions order by name")
    assert len(rows) == len(entries())
    by_name = {name: rest for name, *rest in rows}
    name = sample_classes()[0].name
    assert by_name[f"{CLASSES[0]}_0.JPEG"] == [
        f"{CLASSES[0]}/{CLASSES[0]}_0.jpg",
        CLASSES[0],
        f"my {name} {name} photo this is a {name}",
    ]
    assert by_name[f"{CLASSES[0]}/{CLASSES[0]}_1.jpg"][:2] == [f"{CLASSES[0]}/{CLASSES[0]}_1.jpg", CLASSES[0]]
    assert by_name["elsewhere.jpg"][:2] == [None, UNLISTED], "captions count without their picture"


def vectors(world: World, table: str, key: str) -> dict[object, np.ndarray]:
    rows = world.rows(f"select {key}, embedding from core_{table} where encoder = '{ENCODER}'")
    return {each: np.array(vector, dtype=np.float64) for each, vector in rows}


@pytest.mark.parametrize("profile", ["paper", "corrected"])
def test_ranks_are_those_of_numpy(world: World, profile: str) -> None:
    queries, captions = (
        vectors(world, "query_embeddings", "wnid"),
        vectors(world, "set_caption_embeddings", "caption_id"),
    )
    listed = [wnid for wnid in queries if profile == "corrected" or wnid != UNLISTED]
    rows = world.rows(f"""
        select c.caption_id, r.wnid, r.similarity, r.nearer, r.classes, r.share_nearer, r.nearest_wnids
        from core_text_ranks as r join core_set_captions as c using (image_set, name) where profile = '{profile}'
    """)
    assert len(rows) == len(entries())
    for caption_id, wnid, similarity, nearer, classes, share, nearest in rows:
        caption = captions[caption_id] / np.linalg.norm(captions[caption_id])
        cosines = {each: caption @ queries[each] / np.linalg.norm(queries[each]) for each in listed}
        assert classes == len(listed)
        assert nearest == sorted(listed, key=lambda each: -cosines[each])[:5]
        if wnid not in cosines:
            assert (similarity, nearer, share) == (None, None, 0.0)
            continue
        false = len(listed) if profile == "paper" else len(listed) - 1
        assert similarity == pytest.approx(cosines[wnid], abs=1e-6)
        assert nearer == sum(cosine > cosines[wnid] for cosine in cosines.values())
        assert share == pytest.approx(nearer / false)


def test_bins_have_every_caption_and_the_mean_share(world: World) -> None:
    for profile, texts in (("corrected", len(entries())), ("paper", len(entries()) - 1)):
        rows = world.rows(f"select texts, share, low, high from marts_text_rank where profile = '{profile}'")
        assert sum(row[0] for row in rows) == texts
        ((mean,),) = world.rows(
            f"select avg(share_nearer) from core_text_ranks where profile = '{profile}' and similarity is not null"
        )
        assert sum(row[0] * row[1] for row in rows) / texts == pytest.approx(mean)
        assert all(low < high for *_, low, high in rows)


def test_a_caption_more_embeds_itself_alone(tmp_path: Path) -> None:
    world = captioned(tmp_path)
    make(world)
    more = [*entries(), {"filename": "again.jpg", "wnid": CLASSES[0], "title": "something new"}]
    write(world, [*more, more[0] | {"title": "a second caption of the first"}, {"filename": "none", "caption": " "}])
    world.make("core.set_captions")
    assert world.logged == ["val: 28 captions of 27 pictures, 1 of them empty"]
    rows = world.rows(
        "select name, times, caption from core_set_captions where times > 1 or caption is null order by 1"
    )
    assert rows == [(f"{CLASSES[0]}_0.JPEG", 2, rows[0][2]), ("none", 1, None)]
    assert rows[0][2].startswith("my "), "the first counts"
    world.make("core.set_caption_embeddings")
    line, *others, told = world.logged
    assert all(each.startswith("1 of 1 texts embedded by minilm") for each in (line, *others))
    assert told.startswith("minilm: cpu, float32, ")


def test_the_caption_of_what_was_removed_goes(tmp_path: Path) -> None:
    import hashlib

    removed = hashlib.sha256(f"{CLASSES[0]} 0".encode()).hexdigest()
    (tmp_path / "removals.csv").write_text(f"kind,value,reason\nsha256,{removed},asked for\n")
    world = captioned(tmp_path, images={"removals": "./removals.csv"})
    make(world)
    assert world.rows("select name from core_set_captions where caption is null") == [(f"{CLASSES[0]}_0.JPEG",)]
    assert world.rows(f"select count(*) from core_text_ranks where name = '{CLASSES[0]}_0.JPEG'") == [(0,)]


def test_without_captions_nothing_is_loaded(tmp_path: Path) -> None:
    world = World(tmp_path, CONFIG)
    world.publish("core.set_images", [])
    for name in ("core.query_embeddings", "raw.synsets"):
        world.publish(name, [])
    world.make("core.set_captions", "core.set_caption_embeddings", "core.text_ranks", "marts.text_rank")
    assert world.rows("select count(*) from marts_text_rank") == [(0,)]
