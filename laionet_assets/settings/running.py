"""`duckdb`, `refresh`: what a run may use, and what runs by itself."""

from typing import Annotated

from pydantic import Field, StringConstraints

from laionet_assets.settings.values import InWords, Section

Memory = Annotated[
    str,
    StringConstraints(pattern=r"(?i)^\d+(\.\d+)?\s*(B|KB|MB|GB|TB|KiB|MiB|GiB|TiB)$"),
    InWords("number and a unit, such as 8GB or 512MiB"),
]


class DuckDBSettings(Section):
    """Limits of the engine."""

    threads: int | None = Field(None, ge=1, le=1024, description="Threads of a connection; by default one a core.")
    memory_limit: Memory | None = Field(
        None,
        description="Of a run, such as 8GB; above it DuckDB spills to disk. Default: an eighth of the memory that the "
        "machine or container has, by the runs that may go at once (max_concurrent_runs in dagster.yaml), and half of "
        "it for a table that does not fit.",
    )


class RefreshSettings(Section):
    """What runs by itself while `laionet ui` (or a Dagster daemon) is up, how long a run may take, and how long it is
    remembered.
    """

    enabled: bool = Field(False, description="Sensors and schedule start switched on.")
    interval_seconds: int = Field(
        30, ge=5, le=86_400, description="How often the sensor looks for what is out of date."
    )
    nightly_cron: str = Field(
        "*/15 3-5 * * *",
        description="When fetches that are due and what failed are tried again, one phase a tick (with the sensor "
        "switched off: all that is out of date).",
    )
    longest_run_hours: float = Field(
        24, gt=0, le=8_760, description="A run (a part, or the tables over all parts) that takes longer hangs: it ends."
    )
    keep_runs_days: float = Field(
        30,
        ge=1,
        le=36_500,
        description="How long Dagster remembers what a run logged. The history of materializations stays.",
    )
