"""ReaL labels as timm ships them."""

from pathlib import Path

import pytest

from laionet_assets.predictors import real_labels
from tests.imagenet import imagenet_1k


def test_fifty_thousand_images_with_any_number_of_classes() -> None:
    labels = real_labels()
    assert len(labels) == 50_000
    assert sum(not row for row in labels) == 3_163
    assert labels[:5] == [[], [970, 795], [230, 231], [809], [516, 850]]


def test_the_lists_belong_to_the_caller() -> None:
    real_labels()[0].append(1)
    assert real_labels()[0] == []


@pytest.mark.real_data
def test_they_are_in_the_order_of_the_image_numbers(real_data: Path) -> None:
    """Nine of ten images keep their original label, which needs the same order and the same class indices."""
    import duckdb

    rows = duckdb.execute(
        "select __index_level_0__, wnid from read_parquet($file)",
        {"file": str(real_data / "golden/ilsvrc2012_val_correctness.parquet")},
    ).fetchall()
    index = {wnid: i for i, wnid in enumerate(imagenet_1k())}
    labels = real_labels()
    kept = []
    for name, wnid in rows:
        row = labels[int(name.removeprefix("ILSVRC2012_val_").removesuffix(".JPEG")) - 1]
        if row and wnid in index:
            kept.append(index[wnid] in row)
    assert sum(kept) / len(kept) == pytest.approx(0.90, abs=0.005)
