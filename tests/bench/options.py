"""What a run of the benchmarks was asked for."""

from dataclasses import dataclass
from pathlib import Path

from tests.bench.captions import Captions


@dataclass(frozen=True)
class Options:
    """folder: temporary, for everything that the stages write; photographs: folder of real ones by class, if there is
    one; quick: small sizes and no repetitions, to see that it runs.
    """

    folder: Path
    captions: Captions
    photographs: Path | None
    quick: bool
