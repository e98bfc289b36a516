"""Duplicates: groups, and which image stays."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from laionet_assets.stats import duplicates
from laionet_assets.stats.duplicates import find_duplicates


def plain(ids: list, sha256: list, hashes: list, unit: np.ndarray) -> tuple[list, int, int]:
    """Groups by spreading the smallest id along links until nothing changes."""
    count = len(ids)
    smallest = list(ids)

    def linked(i: int, j: int) -> bool:
        same = sha256[i] is not None and sha256[i] == sha256[j]
        near = None not in (hashes[i], hashes[j]) and (hashes[i] ^ hashes[j]).bit_count() <= 4
        return same or near or unit[i] @ unit[j] >= 0.98

    changed = True
    while changed:
        changed = False
        for i, j in combinations(range(count), 2):
            if linked(i, j) and smallest[i] != smallest[j]:
                smallest[i] = smallest[j] = min(smallest[i], smallest[j])
                changed = True
    n_exact = sum(
        any(sha256[i] is not None and sha256[i] == sha256[j] and ids[j] < ids[i] for j in range(count))
        for i in range(count)
    )
    return smallest, n_exact, sum(a != b for a, b in zip(ids, smallest, strict=True)) - n_exact


@settings(deadline=None)
@given(st.data())
def test_against_plain_spreading(data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 12))
    ids = data.draw(st.lists(st.text("abc/1", min_size=1, max_size=4), min_size=count, max_size=count, unique=True))
    sha256 = data.draw(st.lists(st.sampled_from([None, "x", "y", "z", "w"]), min_size=count, max_size=count))
    bits = st.sampled_from([None, 0, 0b1111, 0b11111, 2**64 - 1, 2**63, 0xF0F0, 0xF0F0F0, 0xF0F0F0F0])
    hashes = data.draw(st.lists(bits, min_size=count, max_size=count))
    angles = data.draw(st.lists(st.sampled_from([0, 0.15, 0.3, 1, 2, 3]), min_size=count, max_size=count))
    unit = np.array([[np.cos(a), np.sin(a)] for a in angles])
    found = find_duplicates(ids, sha256=sha256, hashes=hashes, unit=unit)
    smallest, n_exact, n_near = plain(ids, sha256, hashes, unit)
    assert [ids[i] for i in found.group] == smallest
    assert (found.n_exact, found.n_near) == (n_exact, n_near)
    assert found.stays.sum() + found.n_exact + found.n_near == count


def test_blocks_of_rows_see_every_pair(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    unit = rng.normal(size=(50, 3))
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    hashes = [int(each) for each in rng.integers(0, 1 << 14, size=50)]
    whole = find_duplicates(range(50), hashes=hashes, unit=unit, max_hash_bits=2)
    monkeypatch.setattr(duplicates, "_BLOCK", 7)
    blocks = find_duplicates(range(50), hashes=hashes, unit=unit, max_hash_bits=2)
    assert (blocks.group == whole.group).all()
    assert 1 < whole.stays.sum() < 50


def test_the_limits_are_settings_and_inclusive() -> None:
    unit = np.array([[1.0, 0.0], [0.5, np.sqrt(0.75)]])
    assert find_duplicates([1, 2], unit=unit).stays.all()
    assert find_duplicates([2, 1], unit=unit, min_cosine=0.5).stays.tolist() == [False, True]
    assert find_duplicates([1, 2], hashes=[0, 0b1111]).stays.tolist() == [True, False]
    assert find_duplicates([1, 2], hashes=[0, 0b1111], max_hash_bits=3).stays.all()


def test_nothing_marked_is_nothing_found() -> None:
    assert find_duplicates(["b", "a"]).stays.all()
    none = find_duplicates([], sha256=[], hashes=[], unit=np.empty((0, 3)))
    assert (len(none.group), none.n_exact, none.n_near) == (0, 0, 0)
    assert find_duplicates([1, 2], sha256=[None, None], hashes=[None, None]).stays.all()


def test_unfitting_arguments() -> None:
    with pytest.raises(ValueError, match=r"found 2 ids and \{'sha256': 1\}"):
        find_duplicates([1, 2], sha256=["x"])
    with pytest.raises(ValueError, match="1 ids that come again"):
        find_duplicates([1, 1])
