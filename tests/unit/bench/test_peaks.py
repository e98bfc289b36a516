"""What docs/memory.md says of a run: what was wanted of its size, if anything was."""

import pytest

from tests.bench.peaks import WANTED_BYTES, Peak, section


def found(parts: int, rows: int, together: int, memory_limit: str | None = None) -> tuple[str, list[bool]]:
    peak = Peak(together, together, "core.images", {"core.images": together}, 1.0)
    said = section(peak, 2.0, parts=parts, rows=rows, naming_only=False, memory_limit=memory_limit)
    return said.title, [target.is_met for target in said.targets]


@pytest.mark.parametrize(("parts", "rows"), WANTED_BYTES)
def test_a_size_that_has_a_target_is_held_to_it(parts: int, rows: int) -> None:
    most = WANTED_BYTES[parts, rows]
    assert found(parts, rows, most - 1)[1] == [True] and found(parts, rows, most)[1] == [False]


def test_other_sizes_and_limits_have_no_target_and_a_section_of_their_own() -> None:
    assert found(2, 500, 1) == ("2 parts of 500 rows", [])
    assert found(1, 13_000_000, 1, "18GB") == ("A part of 13,000,000 rows, duckdb.memory_limit 18GB", [])
