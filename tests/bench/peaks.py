"""`python -m tests.bench.peaks FOLDER`: how much memory one `laionet run` takes with its default settings.

Parts of any size of real captions (or of the synthetic sample's), three recipes, the whole pipeline in one command. The
text encoder has MiniLM's tokenizer, its token vectors and its 384 numbers a caption, and no layers: what a model
computes between the two takes hours here and holds no more memory for more rows. Pictures are not fetched (original
LAION-400M rows without a list that clears them), so that core.images has a row for each, as not fetched.

Peak: the most that the processes of the command had resident at one time, summed, looked at twenty times a second;
pages that several share count for each. Also the most that any one of them had.

With `--update`, a section of docs/memory.md says what was found; the others stay. `make peaks` measures both sizes that
have a target: over an hour on two cores, 30 GB of disk.
"""

import argparse
import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import yaml

from tests.bench.captions import Captions, find_captions, write_part
from tests.bench.report import Section, Table, Target, gigabytes, machine, updated
from tests.bench.workspace import write_config

RECIPES: Sequence[Mapping[str, Any]] = (
    {"name": "paper", "matching": "paper", "encoder": "quick", "text_threshold": 0.3, "nsfw": ["UNLIKELY"]},
    {"name": "corrected", "matching": "corrected", "encoder": "quick", "text_threshold": 0.3, "nsfw": ["UNLIKELY"]},
    {
        "name": "top",
        "matching": "corrected",
        "encoder": "quick",
        "text_threshold": 0.2,
        "multi_label": "keep",
        "top_k": 50,
    },
)
SECONDS_BETWEEN_LOOKS = 0.05
SHOWN_TABLES = 15
WANTED_BYTES = {(4, 2_000_000): 6_000_000_000, (1, 13_000_000): 4_000_000_000}
"""What is wanted of so many parts of so many rows, with default settings on a machine of 24 GB."""
PAGE = Path(__file__).resolve().parents[2] / "docs" / "memory.md"
PREFACE = """\
# Memory of a whole run

Written by `python -m tests.bench.peaks FOLDER --update`: do not edit, run it again; `make peaks` measures the sizes that
have a target. Each section is one `laionet run` of everything, with the parts that its title says and three recipes.
The text encoder has MiniLM's tokenizer and numbers and no layers; no pictures are fetched. Resident memory of all
processes of the command together, looked at twenty times a second. What stages cost beside others is on
[benchmarks.md](benchmarks.md).
"""


@dataclass
class Peak:
    """Most memory of a tree of processes, in bytes, and what was being made then."""

    together: int = 0
    of_one: int = 0
    during: str = ""
    by_table: dict[str, int] = field(default_factory=dict)
    cpu_seconds: float = 0.0


def prepare(
    folder: Path, captions: Captions, *, parts: int, rows: int, naming_only: bool, memory_limit: str | None
) -> Path:
    """Parts, the encoder and the settings. Returns the settings' path."""
    for number in range(parts):
        part = folder / "parts" / f"part-{number:05d}.parquet"
        if not part.exists():
            write_part(captions, part, rows, naming_only=naming_only)
    config = write_config(folder, str(folder / "parts" / "*.parquet"), adapter="laion400m", recipes=RECIPES)
    settings = yaml.safe_load(config.read_text())
    settings["text_encoders"] = [
        {"name": "quick", "model": "sentence-transformers:all-MiniLM-L6-v2", "weights": str(folder / "encoder")}
    ]
    if memory_limit is not None:
        settings["duckdb"] = {"memory_limit": memory_limit}
    config.write_text(yaml.safe_dump(settings, sort_keys=False))
    if not (folder / "encoder").exists():
        subprocess.run([sys.executable, "-c", _ENCODER, str(folder / "encoder")], check=True)
    return config


_ENCODER = """
import sys
from sentence_transformers import SentenceTransformer
from laionet_assets.models.bundled import MINILM, verified_bundle
from laionet_assets.models.spec import TEXT_ENCODER, parse_model
spec = parse_model(TEXT_ENCODER, "sentence-transformers:all-MiniLM-L6-v2", name="minilm")
model = SentenceTransformer(str(verified_bundle(spec, MINILM)))
bert = model[0].auto_model
bert.encoder.layer = bert.encoder.layer[:0]
bert.config.num_hidden_layers = 0
model.save(sys.argv[1])
"""


def measured(config: Path, log: Path) -> tuple[int, float, Peak]:
    """Exit code, wall seconds and peak of `laionet run`, whose output goes to `log`."""
    peak, is_over = Peak(), threading.Event()
    with log.open("w") as out:
        started = time.monotonic()
        process = subprocess.Popen(
            [sys.executable, "-c", "from laionet_assets.cli import app; app()", "run", "--config", str(config)],
            stdout=out, stderr=subprocess.STDOUT, cwd=config.parent,
            env={key: value for key, value in os.environ.items() if key not in ("DAGSTER_HOME", "LAIONET_CONFIG")},
        )  # fmt: skip
        watcher = threading.Thread(target=_watch, args=(psutil.Process(process.pid), log, peak, is_over))
        watcher.start()
        process.wait()
        is_over.set()
        watcher.join()
    return process.returncode, time.monotonic() - started, peak


def _watch(process: psutil.Process, log: Path, peak: Peak, is_over: threading.Event) -> None:
    while not is_over.wait(SECONDS_BETWEEN_LOOKS):
        try:
            each = [one.memory_info().rss for one in (process, *process.children(recursive=True))]
            peak.cpu_seconds = sum(process.cpu_times()[:4])
        except psutil.NoSuchProcess:
            continue
        lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.startswith("  ")]
        during = lines[-1].split()[0] if lines else "plan"
        peak.by_table[during] = max(peak.by_table.get(during, 0), sum(each))
        peak.of_one = max(peak.of_one, *each)
        if sum(each) > peak.together:
            peak.together, peak.during = sum(each), during


def main(arguments: Sequence[str] | None = None) -> None:
    """Prepare, run, print. Exit 1 where the run did not succeed."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.peaks", description=__doc__)
    parser.add_argument("folder", type=Path, help="where parts and warehouse are made; what is there is taken as it is")
    parser.add_argument("--parts", type=int, default=4)
    parser.add_argument("--rows", type=int, default=2_000_000, help="of a part")
    parser.add_argument("--naming", action="store_true", help="only captions that name a class")
    parser.add_argument("--memory-limit", help="of DuckDB; the default of the settings without it")
    parser.add_argument(
        "--real", type=Path, default=os.environ.get("LAIONET_REAL_DATA") or None, help="folder of real captions"
    )
    parser.add_argument("--update", action="store_true", help="put what is found into docs/memory.md")
    chosen = parser.parse_args(arguments)
    folder = chosen.folder.resolve()
    captions = find_captions(Path(chosen.real) if chosen.real else None, folder)
    asked: dict[str, Any] = {
        "parts": chosen.parts,
        "rows": chosen.rows,
        "naming_only": chosen.naming,
        "memory_limit": chosen.memory_limit,
    }
    config = prepare(folder, captions, **asked)
    load_before = os.getloadavg()
    code, seconds, peak = measured(config, folder / "run.txt")
    print(
        f"{chosen.parts} x {chosen.rows:,} rows ({captions.description}): exit {code}, {seconds:,.0f} s,"
        f" {peak.cpu_seconds:,.0f} cpu-s"
    )
    print(f"peak {gigabytes(peak.together)} together, {gigabytes(peak.of_one)} of one process, during {peak.during}")
    for name, most in sorted(peak.by_table.items(), key=lambda each: -each[1]):
        print(f"  {gigabytes(most)}  {name}")
    if chosen.update and not code:
        found = section(peak, seconds, **asked)
        said = machine(captions=captions.description, wall_seconds=seconds, load_before=load_before)
        before = PAGE.read_text(encoding="utf-8") if PAGE.is_file() else PREFACE
        PAGE.write_text(updated(before, [found], said, when=""), encoding="utf-8")
        print(f"written: {PAGE}")
    sys.exit(bool(code))


def section(
    peak: Peak, seconds: float, *, parts: int, rows: int, naming_only: bool, memory_limit: str | None
) -> Section:
    """What is said of one run."""
    size = f"{parts} parts of {rows:,} rows" if parts > 1 else f"A part of {rows:,} rows"
    limit = f", duckdb.memory_limit {memory_limit}" if memory_limit else ""
    wanted = None if memory_limit else WANTED_BYTES.get((parts, rows))
    most = sorted(peak.by_table.items(), key=lambda each: -each[1])[:SHOWN_TABLES]
    return Section(
        title=f"{size}{', every caption names a class' if naming_only else ''}{limit}",
        body=[
            f"Peak: {gigabytes(peak.together)}, {gigabytes(peak.of_one)} of one process, during {peak.during}."
            f" {seconds:,.0f} s of wall time, {peak.cpu_seconds:,.0f} cpu-s.",
            Table(("while it made", "most memory"), [(name, gigabytes(each)) for name, each in most]),
        ],
        targets=[
            Target(
                f"memory of {size[0].lower()}{size[1:]}",
                f"< {gigabytes(wanted)}",
                gigabytes(peak.together),
                peak.together < wanted,
            )
        ]
        if wanted
        else [],
    )


if __name__ == "__main__":
    main()
