"""The page of benchmarks, whole and measured again in part."""

from tests.bench.report import Section, Table, Target, page, updated

OLD = [
    Section("One", ["first", Table(("way", "cpu-s"), [("ours", "1")])], [Target("one: speed", ">= 2 x", "3 x", True)]),
    Section("Two", ["the old one"], [Target("two", "<= 1 GB", "0.5 GB (a, b)", True)]),
    Section("Three", ["third"]),
]


def test_a_section_measured_again_takes_its_place_and_the_others_stay() -> None:
    whole = page(OLD, "* Measured first.")
    again = Section("Two", ["anew"], [Target("two", "<= 1 GB", "2 GB", False)])
    text = updated(whole, [again, Section("Four", ["fourth"])], "* Measured later.")
    headings = [line for line in text.splitlines() if line.startswith("## ")]
    assert headings == ["## Targets", "## One", "## Two", "## Three", "## Four"]
    assert "the old one" not in text and text.count("* Measured later.") == 2 and text.count("* Measured first.") == 1
    targets = text.split("## One")[0]
    assert "| one: speed | >= 2 x | 3 x | met |" in targets and "| two | <= 1 GB | 2 GB | **missed** |" in targets
    assert updated(text, [again], "* Measured later.") == text


def test_what_is_measured_again_as_it_was_changes_its_date_alone() -> None:
    whole = page(OLD, "* Measured first.")
    text = updated(whole, [OLD[1]], "* Measured later.")
    assert [line for line in text.splitlines() if line not in whole.splitlines()] == [
        "Measured by itself, after the rest of this page:",
        "* Measured later.",
    ]
