"""`python -m tests.bench`: run the stages, print what they found, write docs/benchmarks.md.

`--only STAGE --update` measures some stages again: their sections take the place of the old ones, each with a line that
says when and beside what it was measured, and everything else on the page stays.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tests.bench.captions import find_captions
from tests.bench.options import Options
from tests.bench.report import Section, machine, page, updated

PAGE = Path(__file__).resolve().parents[2] / "docs" / "benchmarks.md"


def stages() -> Mapping[str, Callable[[Options], Section]]:
    """All stages by name, in the order of the report."""
    from tests.bench import (
        alike,
        checks,
        embedding,
        fetching,
        matching,
        nearest,
        photographs,
        planning,
        predicting,
        results,
        runs,
        selection,
        similarity,
        small,
        trials,
    )

    return {
        "matching": matching.matching,
        "memory": matching.memory,
        "similarity": similarity.similarity,
        "nearest": nearest.nearest,
        "selection": selection.selection,
        "results": results.results,
        "alike": alike.alike,
        "checks": checks.checks,
        "fetching": fetching.fetching,
        "predicting": predicting.predicting,
        "embedding": embedding.embedding,
        "photographs": photographs.photographs,
        "trials": trials.trials,
        "planning": planning.planning,
        "parts": small.parts,
        "fresh": small.fresh,
        "sample": runs.sample,
        "real": runs.real,
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Run what the arguments ask for. The page is written only if every stage ran at full size."""
    known = stages()
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument(
        "--only", action="append", choices=known, help="only this stage (repeat for more); no page is written"
    )
    parser.add_argument(
        "--real", type=Path, default=os.environ.get("LAIONET_REAL_DATA") or None, help="folder of real captions"
    )
    parser.add_argument("--quick", action="store_true", help="small sizes, to see that it runs; no page is written")
    parser.add_argument(
        "--update", action="store_true", help="with --only: put these stages' sections in the page, and keep the others"
    )
    parser.add_argument("--out", type=Path, help=f"write the page here, whatever was run (default: {PAGE})")
    chosen = parser.parse_args(arguments)
    if chosen.update and (not chosen.only or chosen.quick):
        parser.error("--update goes with --only, at full size")
    load_before, started = os.getloadavg(), time.monotonic()
    with tempfile.TemporaryDirectory(prefix="laionet-bench-") as scratch:
        folder = Path(scratch)
        pictures = chosen.real / "images" if chosen.real else None
        options = Options(
            folder=folder,
            captions=find_captions(chosen.real, folder),
            photographs=pictures if pictures and pictures.is_dir() else None,
            quick=chosen.quick,
        )
        sections = []
        for name in chosen.only or known:
            print(f"{time.monotonic() - started:6.0f} s  {name}", flush=True)
            sections.append(known[name](options))
        out = chosen.out or (None if (chosen.only and not chosen.update) or chosen.quick else PAGE)
        measured = machine(
            captions=options.captions.description,
            wall_seconds=time.monotonic() - started,
            load_before=load_before,
        )
        if chosen.update:
            text = updated((out or PAGE).read_text(encoding="utf-8"), sections, measured)
        else:
            text = page(sections, measured)
    print(text)
    if out is not None:
        out.write_text(text, encoding="utf-8")
        print(f"written: {out}")


if __name__ == "__main__":
    main()
