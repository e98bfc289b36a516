"""From candidates to LAIONet, its funnel and the sweep of thresholds, against the plain-Python oracle."""

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.sql.models import Database
from tests.unit.sql.selection_reference import Recipe, Sample, World

SETTINGS = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
PROFILES, ENCODERS, WNIDS = ("paper", "corrected"), ("e", "f"), ("n1", "n2", "n3")
PLACES = (("s", "a", 1), ("s", "a", 2), ("s", "a", 3), ("s", "b", 101), ("s", "b", 102), ("t", "a", 1), ("t", "a", 2))
KINDS = ("query", "head")
CAPTIONS = ("one", "two", "three", "four")
URLS = (None, "http://a", "http://b", "http://c")
SIMILARITIES = (None, -0.2, 0.3, 0.30000001, 0.5, 0.55, 0.6)
MADE = (
    "core.removed_samples",
    "core.selection",
    "core.image_requests",
    "core.selection_seen",
    "core.selection_counts",
    "core.similarity_counts",
    "core.duplicate_samples",
    "core.laionet",
    "marts.duplicates",
    "marts.funnel",
    "marts.threshold_sweep",
)


def recipes(number: int) -> st.SearchStrategy[Recipe]:
    """Settings of one recipe."""
    return st.builds(
        Recipe,
        recipe=st.just(f"r{number}"),
        matching=st.sampled_from(PROFILES),
        encoder=st.sampled_from(ENCODERS),
        text_threshold=st.sampled_from((-1.0, 0.3, 0.5)),
        multi_label=st.sampled_from(("drop", "keep")),
        nsfw_tags=st.sampled_from((("UNLIKELY",), ("UNLIKELY", "UNKNOWN"), ("UNSURE", "UNLIKELY"))),
        max_punsafe=st.sampled_from((0.2, 0.45)),
        top_k=st.sampled_from((None, 1, 2)),
        drop_text_in_image=st.booleans(),
        image_encoder=st.sampled_from(ENCODERS),
        image_kind=st.sampled_from(KINDS),
        image_threshold=st.sampled_from((None, None, 0.3, 0.5)),
        pictures_per_class=st.sampled_from((None, None, 1, 2)),
        duplicates=st.sampled_from(("keep", "drop")),
    )


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """A few captions in a few parts, under one to three recipes."""
    of_classes = st.lists(st.sampled_from(WNIDS), max_size=2, unique=True).map(tuple)
    captions = {caption: {profile: draw(of_classes) for profile in PROFILES} for caption in CAPTIONS}
    said = {
        (encoder, caption, wnid): draw(st.sampled_from(SIMILARITIES))
        for encoder in ENCODERS
        for caption in CAPTIONS
        for wnid in WNIDS
    }
    places = [
        (place, draw(st.sampled_from(CAPTIONS)), draw(st.sampled_from(URLS))) for place in draw(st.permutations(PLACES))
    ]
    gone = draw(st.sets(st.sampled_from(URLS[1:]), max_size=1))
    samples = [
        Sample(
            *place,
            classes=captions[caption],
            nsfw=draw(st.sampled_from((None, "UNLIKELY", "UNSURE", "NSFW"))),
            punsafe=draw(st.sampled_from((None, 0.2, 0.45, 0.46))),
            url=url,
            caption=caption,
            is_removed=url in gone or draw(st.sampled_from((False, False, True))),
        )
        for place, caption, url in places
    ]
    keys = sorted({(x.source, x.sample_id, wnid) for x in samples for found in x.classes.values() for wnid in found})
    seen = st.sampled_from(SIMILARITIES)
    looks = {(e, kind, p, key): draw(seen) for e in ENCODERS for kind in KINDS for p in PROFILES for key in keys}
    read = draw(st.lists(st.sampled_from(keys), unique=True)) if keys else []
    pairs = len(samples) + draw(st.integers(0, 2))
    return World(
        recipes=[draw(recipes(number)) for number in range(draw(st.integers(1, 3)))],
        samples=samples,
        similarities={
            (encoder, (x.source, x.sample_id, wnid)): said[encoder, x.caption, wnid]
            for encoder in ENCODERS
            for x in samples
            for wnid in {wnid for found in x.classes.values() for wnid in found}
        },
        names={key: {profile: draw(st.booleans()) for profile in PROFILES} for key in read},
        looks={look: similarity for look, similarity in looks.items() if similarity is not None},
        rows=pairs + draw(st.integers(0, 2)),
        pairs=pairs,
    )


@pytest.fixture(scope="module")
def db() -> Iterator[Database]:
    opened = Database()
    yield opened
    opened.connection.close()


def fill(db: Database, world: World) -> None:
    """Put what the models read, and make them."""
    db.fill("raw.recipes", [vars(recipe) for recipe in world.recipes])
    db.fill("raw.parts", [{"source": "s", "part": "a", "rows": world.rows, "pairs": world.pairs}])
    kept = ("source", "part", "sample_id", "nsfw", "punsafe", "url", "caption")
    candidates = [
        {
            **{name: getattr(sample, name) for name in kept},
            "matching": profile,
            "wnid": wnid,
            "classes": len(found),
        }
        for sample in world.samples
        for profile, found in sample.classes.items()
        for wnid in found
    ]
    db.fill("core.candidates", candidates)
    similarities = [
        {"encoder": encoder, "source": source, "sample_id": sample, "wnid": wnid, "similarity": similarity}
        for (encoder, (source, sample, wnid)), similarity in world.similarities.items()
    ]
    db.fill("core.caption_similarity", similarities)
    names = [
        {"source": source, "sample_id": sample, "wnid": wnid, **{f"has_name_{p}": named[p] for p in PROFILES}}
        for (source, sample, wnid), named in world.names.items()
    ]
    db.fill("core.names_in_images", names)
    looks = [
        {"encoder": encoder, "kind": kind, "profile": profile, "source": source, "sample_id": sample, "wnid": wnid,
         "similarity": similarity}
        for (encoder, kind, profile, (source, sample, wnid)), similarity in world.looks.items()
    ]  # fmt: skip
    db.fill("core.sample_query_similarity", looks)
    of_url: dict[str, list[bool]] = {}
    for sample in world.samples:
        if sample.url is not None:
            of_url.setdefault(sample.url, []).append(sample.is_removed)
    gone = [url for url, are_removed in of_url.items() if all(are_removed)]
    db.fill(
        "core.removals",
        [{"kind": "sample", "value": f"{x.source}/{x.sample_id}"} for x in world.samples if x.is_removed]
        + [{"kind": "url_hash", "value": db.rows("select sha256(?)", [url])[0][0]} for url in gone],
    )
    for table in MADE:
        db.make(table)


@pytest.mark.slow
@SETTINGS
@given(world=worlds())
def test_every_table_is_what_the_rules_say(db: Database, world: World) -> None:
    fill(db, world)
    asked = db.rows("select source, sample_id, recipes, is_removed from core.image_requests")
    assert {(source, sample): (recipes, gone) for source, sample, recipes, gone in asked} == world.requests()
    for recipe in world.recipes:
        chosen = db.rows("select source, sample_id, wnid, rank from core.laionet where recipe = ?", [recipe.recipe])
        assert {row[:3]: row[3] for row in chosen} == world.laionet(recipe)
        by_recipe = {key for key, (recipes, _) in world.requests().items() if recipe.recipe in recipes}
        if recipe.pictures_per_class is None:
            assert {row[:2] for row in chosen} <= by_recipe, "a chosen picture was not asked for"
        columns = "source, sample_id, kept_source, kept_sample_id"
        repeated = db.rows(f"select distinct {columns} from core.duplicate_samples where recipe = ?", [recipe.recipe])
        assert {row[:2]: row[2:] for row in repeated} == world.kept_for(recipe)
        counted = "select duplicates from marts.duplicates where recipe = ? and wnid = '*'"
        assert sum(n for (n,) in db.rows(counted, [recipe.recipe])) == len(repeated)
        query = "select wnid, stage, rows_in, rows_out, dropped_by_reason from marts.funnel where recipe = ?"
        found = {(*row, tuple(sorted(why.items()))) for *row, why in db.rows(query, [recipe.recipe])}
        assert found == world.funnel(recipe)
    columns = "encoder, matching, threshold, rows, classes, safe_rows, safe_classes"
    swept = db.rows(f"select {columns} from marts.threshold_sweep")
    for encoder, matching, threshold, *counts in swept:
        assert tuple(counts) == world.sweep(encoder, matching, threshold), (encoder, matching, threshold)
    covered = {(encoder, matching) for encoder, matching, *_ in swept}
    for encoder in ENCODERS:
        for matching in PROFILES:
            assert ((encoder, matching) in covered) == (world.sweep(encoder, matching, -1)[0] > 0)
