"""What a published table shows of itself."""

import duckdb

from laionet_assets.assets.publishing import preview_of


def test_a_preview_is_short_and_shows_no_address() -> None:
    with duckdb.connect() as connection:
        connection.execute(
            "create view images as select i as sample_id, 'http://secret.example/' || i as url, repeat('a|b ', 30) as "
            "caption, range(9) as numbers, 1 / 3 as share, 'bytes'::blob as data from range(20) t(i)"
        )
        lines = preview_of(connection, "images", rows=2).split("\n")
    assert lines[:2] == ["| sample_id | caption | numbers | share |", "|---|---|---|---|"]
    assert len(lines) == 4 and not any("secret" in line for line in lines)
    assert lines[2].startswith("| 0 | `a¦b a¦b") and "...` | `[0, 1, 2, 3, 4, '...']` | 0.333333 |" in lines[2]
