"""The bench of cards runs on a machine that has neither duckdb nor dagster, with or without a card."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bench import gpu_work
from tests.bench.gpu import LONGEST_SECONDS, Bench, scaling
from tests.bench.gpu_work import Work, steady_rate

WITHOUT = """
import runpy, sys

class Without:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("duckdb", "dagster", "great_expectations"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Without())
sys.argv = ["tests.bench.gpu", *sys.argv[1:]]
runpy.run_module("tests.bench.gpu", run_name="__main__")
"""


def test_what_there_is_no_time_for_is_a_row_and_the_rest_goes_on(tmp_path: Path) -> None:
    bench = Bench(Work(tmp_path, None, device="cpu"), seconds=0.01)
    with bench.section("in time"):
        bench.add("in time", str(bench.rate(lambda count: None, first=1, most=1) > 0))
    bench.started -= LONGEST_SECONDS + 1
    with bench.section("late"):
        bench.rate(lambda count: None, first=1, most=1)
    scaling(bench, [1])
    assert [(row[0], row[1], row[5]) for row in bench.rows] == [
        ("in time", "True", ""),
        ("late", "not run", "left out after 300 s"),
        ("scaling over cores", "not run", "left out after 300 s"),
    ]


@pytest.mark.parametrize(("start", "warm_up"), [(0.0, 0.0), (1.5, 0.0), (1.5, 9.0)])
def test_a_rate_is_that_of_items_and_not_of_the_start(
    start: float, warm_up: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, calls = 0.0, 0

    def run(items: int) -> None:
        nonlocal now, calls
        now += start + items / 5_000 + (0 if calls else warm_up)
        calls += 1

    monkeypatch.setattr(gpu_work.time, "perf_counter", lambda: now)
    assert steady_rate(run, first=64, seconds=4, most=50_000) == pytest.approx(5_000, rel=0.01)
    assert now < 4 * (4 + start) + warm_up, "it takes about so long"
    assert steady_rate(run, first=64, seconds=4) == pytest.approx(5_000, rel=0.01)


def test_a_rate_of_no_more_than_the_first_is_theirs(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0

    def run(items: int) -> None:
        nonlocal now
        now += items / 50

    monkeypatch.setattr(gpu_work.time, "perf_counter", lambda: now)
    assert steady_rate(run, first=16, seconds=0.01, most=1_000) == pytest.approx(50)


def test_what_ours_is_compared_with_costs_no_row_of_ours(tmp_path: Path) -> None:
    bench = Bench(Work(tmp_path, None, device="cpu"), seconds=0.01, out=tmp_path / "table.md")

    def failing(count: int) -> None:
        raise RuntimeError("no such precision")

    with bench.section("ours"):
        bench.add("ours", "1", peer=bench.beside(failing, first=1, most=1))
    assert bench.rows == [("ours", "1", "", "not measured (RuntimeError: no such precision)", "", "")]
    assert "no such precision" in (tmp_path / "table.md").read_text(), "a row is kept as soon as it is there"


@pytest.mark.slow
def test_every_row_is_measured_without_a_card_duckdb_and_dagster(tmp_path: Path) -> None:
    out = tmp_path / "table.md"
    finished = subprocess.run(
        [sys.executable, "-c", WITHOUT, "--seconds", "0.01", "--cores", "1", "--out", str(out)],
        cwd=Path(__file__).parents[3],
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "", "LAIONET_REAL_DATA": ""},
        capture_output=True,
        text=True,
        timeout=540,
    )
    assert finished.returncode == 0, finished.stderr[-3000:]
    rows = [line.split(" | ") for line in out.read_text().splitlines() if line.startswith("| ")][1:]
    measured = {row[0].removeprefix("| "): row[1] for row in rows}
    assert not {what: found for what, found in measured.items() if found in ("failed", "not run")}, finished.stdout
    for what in ("CLIP ViT-B/32 text", "MiniLM-size text", "ResNet-50", "EfficientNet-Lite0", "CLIP zero-shot"):
        assert float(measured[f"{what}: end to end"].replace(",", "")) > 0
    (worst,) = [
        found for what, found in measured.items() if what.startswith("CLIP ViT-B/32 text: 1 - cosine to the CPU")
    ]
    assert float(worst) < 1e-5
    assert "3 models together, one decoding" in measured
    assert float(measured["decoding, resizing and cropping on cpu"].replace(",", "")) > 0
    apart = measured["pixels decoded on cpu: from those of the exact way, of 255"]
    assert float(apart.partition(" ")[0]) < 0.5
    assert measured["ResNet-50, decoded by the card: end to end"] == "no card here"
    assert "1: " in measured["EfficientNet-Lite0 on the CPU"]
