"""core.frontier and core.arms beside plain Python, on random pools."""

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.sql.arms_reference import PERCENTS, Picture, arms, point
from tests.unit.sql.models import Database

LOWEST = 0.0
tenths = st.integers(1, 20).map(lambda value: value / 20)
pictures = st.builds(
    Picture, st.sampled_from("st"), st.integers(1, 500), st.sampled_from(("n1", "n2", "n3")), tenths, tenths
)
pools = st.lists(pictures, max_size=140, unique_by=lambda each: each.key)


@pytest.fixture(scope="module")
def db() -> Iterator[Database]:
    opened = Database()
    opened.connection.execute(
        "insert into raw.recipes by name select 'w' as recipe, true as is_pool, ?::double as text_threshold", [LOWEST]
    )
    yield opened
    opened.connection.close()


def fill(db: Database, pool: list[Picture]) -> None:
    db.connection.execute("delete from core.pool")
    for each in pool:
        db.connection.execute(
            "insert into core.pool by name select 'w' as recipe, ? as source, 'a' as part, ? as sample_id, ? as wnid, "
            "? as similarity, ? as image_similarity",
            [each.source, each.sample_id, each.wnid, each.similarity, each.image_similarity],
        )
    db.make("core.frontier")
    db.make("core.arms")


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pool=pools)
def test_frontier_and_arms_are_what_the_rules_say(db: Database, pool: list[Picture]) -> None:
    fill(db, pool)
    chosen: dict[str, set[tuple[str, int]]] = {}
    for arm, *key in db.rows("select arm, source, sample_id from core.arms"):
        chosen.setdefault(arm, set()).add((key[0], key[1]))
    found = {
        row[0]: row[1:] for row in db.rows("select point, text_threshold, image_threshold, images from core.frontier")
    }
    expected = {arm: keys for arm, keys in arms(pool).items() if keys}
    for percent, name in PERCENTS.items():
        text, image, keys = point(pool, percent, LOWEST)
        if len(pool) * 22 // 100:
            assert found[name] == (text, image, len(keys))
            if name != "reference" and keys:
                expected[name] = keys
        else:
            assert name not in found
    assert chosen == expected


def test_without_ties_every_point_has_as_many_pictures(db: Database) -> None:
    pool = [Picture("s", i, f"n{i % 3}", 1 - i / 1000, (i * 7919 % 1000) / 1000 + 0.0001) for i in range(1, 900)]
    fill(db, pool)
    rows = db.rows("select image_threshold, images, reference_images from core.frontier order by text_percent")
    assert len(rows) == 12 and {images for _, images, _ in rows} == {197} == {wanted for *_, wanted in rows}
    cuts = [cut for cut, *_ in rows[1:]]
    assert rows[0][0] is None and cuts == sorted(cuts)
    sizes = dict(db.rows("select arm, count(*) from core.arms group by arm"))
    assert sizes == {"text": 150, "image": 150, "random": 150, **dict.fromkeys("ABCD", 197)}
