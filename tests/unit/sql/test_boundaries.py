"""Every comparison in the SQL has a unit test that its boundary decides: with < for <=, or > for >=, one fails."""

import re
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from laionet_assets.sqlmodels.loader import Model, Project, load_project, sql_folder
from laionet_assets.sqlmodels.unit import run_unit_test

SHIFTED = {"<": "<=", "<=": "<", ">": ">=", ">=": ">"}
COMPARISON = re.compile(r"(?<![-<>=!|])(<=|>=|<|>)(?![=>])")
SAME_EITHER_WAY = {
    "core/correctness.sql": [
        "case when count(*) > 1 then list(wnid) end as wnids,",  # of one class, `wnid` says it too
        "where p.rank > 1",  # looked at only where rank 1 is not right
        "where coalesce(a.models, 0) < m.models",  # what all models answered has nothing unanswered
    ],
    "core/duplicate_samples.sql": [  # what comes once is its own first and last
        "select recipe, copy_key from seen group by all having count(*) > 1",
    ],
    "core/label_doubts.sql": ["case when v.noes <> 0 then v.noes > 0 end as is_judged_wrong,"],
}
"""Comparisons by file whose boundary changes no row."""
BY_A_TEST_OF_ITS_OWN = {
    "core/compared_images.sql": [
        "qualify row_number() over (partition by l.recipe, l.wnid order by l.source, l.sample_id) <= 100",
    ],
}


def comparisons() -> Iterator[tuple[str, int, int]]:
    """File, and where a comparison begins and ends, outside comments."""
    for path in sorted(sql_folder().rglob("*.sql")):
        text, name = path.read_text(encoding="utf-8"), str(path.relative_to(sql_folder()))
        for found in COMPARISON.finditer(text):
            line = text[text.rfind("\n", 0, found.start()) + 1 : text.find("\n", found.end())]
            if "--" not in text[text.rfind("\n", 0, found.start()) + 1 : found.start()] and (
                line.strip() not in SAME_EITHER_WAY.get(name, []) + BY_A_TEST_OF_ITS_OWN.get(name, [])
            ):
                yield name, found.start(), found.end()


@cache
def project() -> Project:
    return load_project()


def fails(mutant: Project, model: Model) -> bool:
    return any(run_unit_test(mutant, model, test) for test in model.unit_tests)


def with_shifted(name: str, start: int, end: int) -> tuple[Project, list[Model]]:
    """The project with one comparison shifted, and the models that this concerns."""
    real = project()
    text = (sql_folder() / name).read_text(encoding="utf-8")
    shifted = text[:start] + SHIFTED[text[start:end]] + text[end:]
    if not name.startswith("macros/"):
        model = replace(real.models[name.removesuffix(".sql").replace("/", ".")], select=shifted)
        return replace(real, models={**real.models, model.name: model}), [model]
    macros = {
        macro.name: replace(macro, statement=macro.statement.replace(*lines))
        for macro in real.macros.values()
        for lines in [_lines(text, shifted, start)]
        if lines[0] in macro.statement
    }
    assert len(macros) == 1, f"{name}: {macros.keys()}"
    concerned = [
        model
        for model in real.models.values()
        if model.select and macros.keys() & {macro.name for macro in real.macros_of(model)}
    ]
    return replace(real, macros={**real.macros, **macros}), concerned


def _lines(text: str, shifted: str, at: int) -> tuple[str, str]:
    """The line around a place, before and after."""
    start = text.rfind("\n", 0, at) + 1
    return text[start : text.find("\n", at)], shifted[start : shifted.find("\n", at)]


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted({name for name, _, _ in comparisons()}))
def test_every_boundary_is_decided_by_a_unit_test(name: str) -> None:
    text = (sql_folder() / name).read_text(encoding="utf-8")
    survivors = []
    for _, start, end in (each for each in comparisons() if each[0] == name):
        mutant, models = with_shifted(name, start, end)
        if not any(fails(mutant, model) for model in models):
            survivors.append(f"{Path(name)}: {_lines(text, text, start)[0].strip()}")
    assert not survivors


def test_what_is_the_same_either_way_stands_there() -> None:
    for name, lines in (SAME_EITHER_WAY | BY_A_TEST_OF_ITS_OWN).items():
        stripped = [line.strip() for line in (sql_folder() / name).read_text(encoding="utf-8").splitlines()]
        assert set(lines) <= set(stripped), name


def test_the_paper_list_has_a_hundred_of_a_class() -> None:
    """The first hundred of core.compared_images, by source and sample."""
    real = project()
    model = real.models["core.compared_images"]
    test = next(test for test in model.unit_tests if test.name == "paper_takes_its_list_before_text_and_fetching")
    of_class = {"source": "s", "part": "a", "wnid": "n1"}
    picture = {"status": "success", "mode": "RGB", "width": 50, "height": 50, "sha256": "x"}
    many = test.model_copy(
        update={
            "given": {
                "raw.image_sets": [{"image_set": "r", "kind": "recipe", "profile": "paper"}],
                "raw.recipes": [{"recipe": "r"}],
                "core.selection_seen": [
                    {**of_class, "recipe": "r", "sample_id": n, "similarity": n / 200} for n in range(101)
                ],
                "core.images": [{**picture, "source": "s", "sample_id": n} for n in range(101)],
                "core.image_embeddings": [
                    {"source": "s", "part": "a", "sha256": "x", "profile": "both", "encoder": "e"}
                ],
            },
            "expect": [{"profile": "paper", "image_set": "r", "image_id": f"s/{n}"} for n in range(100)],
        }
    )
    assert run_unit_test(real, model, many) == []
