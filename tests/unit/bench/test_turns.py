"""What the benches of predicting and embedding share."""

import threading
from io import BytesIO

import torch
from PIL import Image

from tests.bench.measure import Cost
from tests.bench.turns import (
    DECODE,
    FORWARD,
    OURS,
    PREPARE,
    WORKERS,
    batches,
    in_threads,
    in_turns,
    least_by_slice,
    rows_of,
    targets_of,
)


def test_batches_hold_every_item_once_in_order() -> None:
    assert batches("abcdefg", 3) == ["abc", "def", "g"]
    assert batches([], 3) == []


def test_of_each_slice_the_least_counts_cpu_and_wall_apart() -> None:
    costs = [
        {"slice": 0, "ours": Cost(5, 9), "floor": Cost(4, 4)},
        {"slice": 0, "ours": Cost(6, 7), "floor": Cost(3, 5)},
        {"slice": 1, "ours": Cost(10, 20), "floor": Cost(1, 1)},
    ]
    assert least_by_slice(costs) == {"ours": Cost(15, 27), "floor": Cost(4, 5)}


def test_threads_give_results_in_order_and_leave_torch_as_it_was() -> None:
    before = torch.get_num_threads()
    used, together = set(), threading.Barrier(WORKERS, timeout=30)

    def work(batch: str) -> list[tuple[str, int]]:
        used.add(threading.get_ident())
        together.wait()
        return [(each, torch.get_num_threads()) for each in batch]

    assert in_threads(work, ["ab", "cd", "e", "f"]) == [(each, 1) for each in "abcdef"]
    assert len(used) == WORKERS
    assert torch.get_num_threads() == before


def test_ours_and_the_pieces_see_every_picture_as_often() -> None:
    buffer = BytesIO()
    Image.new("RGB", (30, 20)).save(buffer, "PNG")
    seen: list[tuple[str, int]] = []
    costs = in_turns(
        [buffer.getvalue()] * 10,
        ours=lambda part: seen.append(("ours", len(part))),
        prepares=[lambda image: image.width, lambda image: image.height],
        forwards=[lambda batch: seen.append(("width", sum(batch))), lambda batch: seen.append(("height", sum(batch)))],
        size=4,
        repeats=3,
    )
    assert costs.keys() == {OURS, DECODE, PREPARE, FORWARD}
    assert sum(count for what, count in seen if what == "ours") == 3 * 10
    assert sum(width for what, width in seen if what == "width") == 3 * 10 * 30
    assert sum(height for what, height in seen if what == "height") == 3 * 10 * 20


def test_rows_and_targets() -> None:
    costs = {OURS: Cost(11.5, 10), DECODE: Cost(2, 2), PREPARE: Cost(1, 1), FORWARD: Cost(8, 8)}
    rows = rows_of(costs)
    assert rows["floor: decode and forward alone"] == Cost(10, 10)
    assert rows["decode, prepare and forward alone"] == Cost(11, 11)
    cpu, wall = targets_of("embedding", costs, ("cpu", "wall"))
    assert (cpu.is_met, wall.is_met) == (False, True)
    assert cpu.found == "1.15 x (1.05 x if preparing is part of the floor)"
