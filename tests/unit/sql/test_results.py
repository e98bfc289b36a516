"""core.correctness, core.class_weights, marts.class_recall and marts.accuracy against the plain-Python oracle, and the
"rows that should not exist" of the tables of results.
"""

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.sql import models
from tests.unit.sql.models import Database, project
from tests.unit.sql.results_reference import Inputs, PublishedRow

SETTINGS = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
WNIDS = ("n02110185", "n00000001", "n00000002", "n00000003")
PAPER_HUSKY = "n02112837"
FLAGS = ((False,) * 5, (False, None, None, None, False), (False, None, None, None, True), (None,) * 5, (True,) * 5)
TABLES = ("core.correctness", "core.class_weights", "marts.class_recall", "marts.accuracy")


@pytest.fixture(scope="module")
def db() -> Iterator[Database]:
    opened = Database()
    yield opened
    opened.connection.close()


def fill(db: Database, inputs: Inputs) -> None:
    """Put the inputs and make the tables."""
    sets = sorted({image_set for image_set, _ in inputs.labels})
    rows = [{"image_set": name, "kind": "local", "has_class_list": name in inputs.class_lists} for name in sets]
    rows.append({"image_set": "pub", "kind": "published", "has_class_list": "pub" in inputs.class_lists})
    for row in rows:
        row["zero_shot_missing"] = inputs.zero_shot_missing if row["kind"] == "published" else None
    db.fill("raw.image_sets", rows)
    db.fill(
        "raw.class_lists", [{"image_set": s, "wnid": w} for s, listed in inputs.class_lists.items() for w in listed]
    )
    db.fill("raw.synsets", [{"wnid": w, "paper_wnid": PAPER_HUSKY if w == WNIDS[0] else w} for w in WNIDS])
    db.fill(
        "core.image_labels",
        [
            {"image_set": image[0], "image_id": image[1], "wnid": wnid, "is_admitted": image in inputs.admitted}
            for image, wnids in inputs.labels.items()
            for wnid in wnids
        ],
    )
    db.fill(
        "core.predictions",
        [
            {"image_set": s, "image_id": i, "model": m, "rank": rank, "wnid": wnid}
            for (s, i, m), ranked in inputs.predicted.items()
            for rank, wnid in enumerate(ranked, start=1)
        ],
    )
    db.fill(
        "raw.published_correctness",
        [
            {
                **{key: value for key, value in vars(row).items() if key != "flags"},
                **{f"top_{k}_is_correct": flag for k, flag in enumerate(row.flags, start=1)},
            }
            for row in inputs.published
        ],
    )
    for name in TABLES:
        db.make(name)


@st.composite
def all_inputs(draw: st.DrawFn) -> Inputs:
    images = [(image_set, f"i{number}") for image_set in "st" for number in range(4)]
    classes = st.lists(st.sampled_from(WNIDS), min_size=1, max_size=3, unique=True)
    labels = {image: tuple(draw(classes)) for image in images if draw(st.integers(0, 5))}
    admitted = frozenset(image for image in labels if draw(st.integers(0, 4)))
    ranked = st.lists(st.sampled_from((*WNIDS, "n00000009")), min_size=1, max_size=5)
    predicted = {
        (*image, model): tuple(draw(ranked)) for image in sorted(admitted) for model in "mno" if draw(st.booleans())
    }
    maybe = st.sampled_from([False, True, None])
    flags = st.sampled_from(FLAGS) | st.tuples(maybe, maybe, maybe, maybe, maybe)
    published = [
        PublishedRow(
            image_set="pub",
            image_id=f"p{number}",
            wnid=draw(st.sampled_from((PAPER_HUSKY, *WNIDS[1:]))),
            model=model,
            is_zero_shot=model != "vit",
            is_known_to_others=draw(maybe),
            has_name_in_text=draw(st.sampled_from([False, None, True])),
            flags=draw(flags),
        )
        for number in range(draw(st.integers(1, 4)))
        for model in ("clip", "clip-large", "vit")
    ]
    listed = st.lists(st.sampled_from(WNIDS), max_size=3, unique=True).map(tuple)
    return Inputs(
        labels=labels,
        admitted=admitted,
        predicted=predicted,
        published=published,
        zero_shot_missing=draw(st.sampled_from(["missing", "wrong"])),
        class_lists={name: draw(listed) for name in ("s", "pub") if draw(st.booleans())},
    )


@SETTINGS
@given(all_inputs())
def test_correctness_recalls_and_accuracies_equal_the_oracle(db: Database, inputs: Inputs) -> None:
    fill(db, inputs)
    correctness = db.rows(
        "select image_set, image_id, wnid, model, top_1_is_correct, top_2_is_correct, top_3_is_correct, "
        "top_4_is_correct, top_5_is_correct from core.correctness"
    )
    assert {row[:4]: row[4:] for row in correctness} == inputs.correctness()
    assert len(correctness) == len(inputs.correctness())
    recalls = db.rows("select image_set, model, k, wnid, n, correct, recall from marts.class_recall")
    assert {row[:4]: row[4:6] for row in recalls} == inputs.recalls()
    assert all(recall == correct / n for *_, n, correct, recall in recalls)
    accuracies = db.rows("select image_set, model, k, classes, images, accuracy, se, weighting from marts.accuracy")
    wanted = inputs.accuracies()
    assert {row[:3] for row in accuracies} == wanted.keys()
    assert {row[-1] for row in accuracies} <= {"equal"}
    for row in accuracies:
        assert row[3:7] == pytest.approx(wanted[row[:3]], abs=1e-12)


EXAMPLE = Inputs(
    labels={("s", "a"): WNIDS[:1], ("s", "b"): WNIDS[1:3], ("s", "c"): WNIDS[:1], ("s", "d"): WNIDS[:1]},
    admitted=frozenset({("s", "a"), ("s", "b"), ("s", "c")}),
    predicted={
        ("s", "a", "m"): (WNIDS[1], WNIDS[0]),
        ("s", "b", "m"): (WNIDS[2], WNIDS[1]),
        ("s", "a", "n"): (WNIDS[0],),
        ("s", "c", "n"): (WNIDS[3], WNIDS[1]),
    },
    published=[PublishedRow("pub", "p", WNIDS[1], "vit", False, True, False, (True, None, None, None, True))],
)
SPOILT = {
    ("core.correctness", "every_prediction_is_judged"): "delete from core.correctness where model = 'm'",
    (
        "core.correctness",
        "every_image_is_judged_by_every_model",
    ): "delete from core.correctness where model = 'n' and image_id = 'b'",
    ("core.correctness", "every_published_set_is_there"): "delete from core.correctness where image_set = 'pub'",
    (
        "core.class_weights",
        "shares_of_a_list_sum_to_one_at_most",
    ): "insert into core.class_weights select image_set, 'laion', wnid, 'r', 0.7 from core.class_weights",
    ("core.class_weights", "label_list_iff_laion"): "update core.class_weights set label_list = 'r'",
    (
        "core.class_weights",
        "every_class_has_its_laion_weight",
    ): "insert into core.class_weights values ('s', 'laion', 'n00000001', 'r', 0.7)",
    ("marts.class_recall", "the_interval_holds_the_recall"): "update marts.class_recall set ci_low = recall + 0.01",
    (
        "marts.class_recall",
        "recall_never_falls_with_k",
    ): "update marts.class_recall set correct = 0 where k = 5",
    ("marts.accuracy", "images_are_at_least_the_classes"): "update marts.accuracy set images = 0",
    (
        "marts.accuracy",
        "every_image_set_with_a_recall_that_counts_is_there",
    ): "delete from marts.accuracy where model = 'n'",
}
WARNS_HERE = {"image_sets_have_laion_weights"}


def queries(table: str) -> dict[str, str]:
    return {name: query for name, query in models.queries(table).items() if name not in WARNS_HERE}


def test_good_tables_have_no_unexpected_rows_and_every_rule_finds_a_spoilt_one(db: Database) -> None:
    fill(db, EXAMPLE)
    for name, query in [item for table in TABLES for item in queries(table).items()]:
        assert db.rows(query) == [], name
    assert {(table, name) for table in TABLES for name in queries(table)} == SPOILT.keys()
    for (table, name), spoil in SPOILT.items():
        db.connection.execute("begin")
        db.connection.execute(spoil)
        found = db.rows(queries(table)[name])
        db.connection.execute("rollback")
        assert found, name


def test_an_image_set_without_a_label_list_is_warned_of(db: Database) -> None:
    fill(db, EXAMPLE)
    (rule,) = [rule for rule in project().models["core.class_weights"].expectations if rule.name in WARNS_HERE]
    assert rule.severity == "warning"
    assert sorted(db.rows(models.queries("core.class_weights")[rule.name])) == [("pub",), ("s",)]
