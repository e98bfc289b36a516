"""A small `sql` folder: one table made by Python, two SQL models, one macro."""

from pathlib import Path

import pytest

FILES = {
    "raw/animals.yml": """
description: One row per animal.
group: zoo
grain: [animal]
columns:
  animal: {type: VARCHAR, description: Name.}
  legs: {type: INTEGER, description: Count of legs.}
""",
    "macros/zoo.sql": """
-- a comment with; a semicolon
create macro doubled(x) as x * 2;
create macro quadrupled(x) as doubled(doubled(x));
create macro entity(x) as replace(x, '&amp;', ';');
""",
    "core/legs.yml": """
description: One row per animal with at least some legs.
group: zoo
grain: [animal]
columns:
  animal: {type: VARCHAR, description: Name.}
  twice: {type: INTEGER, description: Twice the count of legs.}
expectations:
  - {type: expect_column_values_to_not_be_null, kwargs: {column: twice}}
unit_tests:
  - name: doubles
    given: {raw.animals: [{animal: cat, legs: 4}, {animal: fish, legs: 0}]}
    expect: [{animal: cat, twice: 8}]
""",
    "core/legs.sql": "select animal, doubled(legs) as twice from raw.animals where legs >= 1",
    "marts/total.yml": """
description: One row per zoo.
group: zoo
grain: [total]
columns:
  total: {type: HUGEINT, description: Sum of twice the legs.}
""",
    "marts/total.sql": "with l as (select twice from core.legs) select sum(twice) as total from l",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        path = tmp_path / "sql" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "sql"
