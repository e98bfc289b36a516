"""`laionet`: run the warehouse, ask it, check it, take it away.

Belongs here: commands, what they print, exit codes. Does not belong here: anything that a command does (see `assets`,
`warehouse`).
"""

import os
import sys
from collections.abc import Callable
from enum import StrEnum
from importlib import metadata
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from laionet_assets.commands.interrupting import INTERRUPTED, exit_code, guarded
from laionet_assets.commands.safe_path import safe_path
from laionet_assets.errors import UserError, with_causes
from laionet_assets.full_disk import full_disk
from laionet_assets.inert import inert

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)

Config = Annotated[
    Path | None,
    typer.Option("--config", help="Settings; else $LAIONET_CONFIG, else laionet.yaml in the working directory."),
]


def _print_version(is_wanted: bool) -> None:
    if is_wanted:
        print(f"laionet {metadata.version('laionet-assets')}")
        raise typer.Exit


@app.callback()
def laionet(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Recreate ImageNet from web captions and measure how the copy differs."""
    os.environ.update(safe_path(os.environ))


class Format(StrEnum):
    """How `laionet sql` prints rows."""

    table = "table"
    json = "json"
    csv = "csv"


@app.command()
def run(
    config: Config = None,
    select: Annotated[
        str | None, typer.Option(help='Assets in Dagster\'s selection syntax, such as +key:"core/laionet".')
    ] = None,
    parts: Annotated[
        list[str] | None,
        typer.Option(help="Only these parts: names, <source>/<part>, or globs; repeat or separate by commas."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Also what is up to date.")] = False,
) -> None:
    """Materialize what is missing or out of date, in order, and sum up. Exit 0 only if all of it succeeded."""

    def work() -> int:
        from laionet_assets.commands.running import run_pipeline

        with guarded():
            return run_pipeline(config, select=select, parts=parts or [], force=force)

    _exit_with(work)


@app.command(context_settings={"ignore_unknown_options": True})  # a query may begin with a comment: -- like this
def sql(
    query: Annotated[str, typer.Argument(help="One SELECT over schema-qualified tables.")],
    config: Config = None,
    format: Annotated[Format, typer.Option(help="How to print the rows.")] = Format.table,
    allow_files: Annotated[
        bool, typer.Option("--allow-files", help="Let the query read and write files, attach and install.")
    ] = False,
) -> None:
    """Ask the warehouse, also while runs write. It only reads, and only the warehouse, unless --allow-files is said."""

    def work() -> int:
        from laionet_assets.commands.sql import ask

        ask(query, config=config, format=format.value, allow_files=allow_files)
        return 0

    _exit_with(work)


@app.command()
def report(config: Config = None) -> None:
    """Print what is published, without making anything: LAIONet by recipe, its images, accuracies and gaps."""

    def work() -> int:
        from laionet_assets.commands.asking import report as print_report

        print_report(config)
        return 0

    _exit_with(work)


@app.command()
def accept(
    table: Annotated[str, typer.Argument(help="The table, such as core.caption_matches.")],
    because: Annotated[str, typer.Option("--because", help="Why the rows stay the same, in one sentence.")],
    config: Config = None,
) -> None:
    """Declare that an edit of code keeps the rows of a table, so that it is not made again; the report shows it."""

    def work() -> int:
        from laionet_assets.commands.accepting import accept_edits

        accept_edits(table, because=because, config=config)
        return 0

    _exit_with(work)


@app.command()
def retry(
    config: Config = None,
    error_class: Annotated[
        list[str] | None,
        typer.Option("--class", help="Only these error classes, such as dns; repeat or separate by commas."),
    ] = None,
    host: Annotated[list[str] | None, typer.Option(help="Only these hosts; repeat or separate by commas.")] = None,
    since: Annotated[
        str | None, typer.Option(help="Only what was last tried since then, such as 2026-11-01 (UTC).")
    ] = None,
) -> None:
    """Let the next run ask again for pictures that failed, whether due or not; say how many. Opt-outs stand."""

    def work() -> int:
        from laionet_assets.commands.retrying import retry_failures

        retry_failures(config, error_classes=_listed(error_class), hosts=_listed(host), since=since)
        return 0

    _exit_with(work)


@app.command()
def judge(
    recipe: Annotated[str, typer.Argument(help="A recipe of the settings.")],
    folder: Annotated[Path, typer.Argument(help="Where the page and the file for verdicts go.")],
    config: Config = None,
    n: Annotated[int, typer.Option("--n", min=1, help="Pictures: as many of each fifth by caption similarity.")] = 200,
    judge: Annotated[str, typer.Option("--judge", help="Who judges: stands on every line.")] = "judge",
) -> None:
    """Write a sheet of a recipe's pictures for a person to judge, and a file for the verdicts."""

    def work() -> int:
        from laionet_assets.commands.judging import write_judges_sheet

        write_judges_sheet(recipe, folder, config=config, pictures=n, judge=judge)
        return 0

    _exit_with(work)


@app.command()
def check(config: Config = None) -> None:
    """Check settings, yml, SQL, dependencies, documentation and unit tests, without data."""

    def work() -> int:
        from laionet_assets.commands.checking import run_checks

        return run_checks(config)

    _exit_with(work)


@app.command()
def snapshot(
    file: Annotated[str, typer.Argument(help="The DuckDB database to write; an older snapshot is replaced.")],
    config: Config = None,
    tables: Annotated[
        list[str] | None,
        typer.Option(help="Only these tables: names, or patterns such as 'marts.*'; repeat or separate by commas."),
    ] = None,
) -> None:
    """Write the published tables (but for vectors) as one self-contained DuckDB database."""

    def work() -> int:
        from laionet_assets.commands.snapshot import snapshot as write

        write(file, config=config, tables=_listed(tables))
        return 0

    _exit_with(work)


@app.command()
def ui(
    config: Config = None,
    port: Annotated[int, typer.Option(help="Port of the web page.")] = 3000,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
) -> None:
    """Open the Dagster UI on this warehouse, with its daemon (sensors, schedules, backfills)."""

    def work() -> int:
        from laionet_assets.commands.instance import serve_ui

        return serve_ui(config, host=host, port=port)

    _exit_with(work)


def _listed(texts: list[str] | None) -> list[str]:
    """What a repeated option names, separated by commas too."""
    return [item for text in texts or [] for item in text.split(",") if item]


def _exit_with(work: Callable[[], int]) -> NoReturn:
    """Run a command. What the user can mend is one message on stderr and exit 2; a failure is exit 1."""
    try:
        code = work()
    except UserError as error:
        print(inert(f"laionet: {error}", keep="\n"), file=sys.stderr)
        code = 2
    except BrokenPipeError:  # who read our output has read enough, as `| head` does
        os._exit(0)
    except Exception as error:
        shown = full_disk(error)
        if shown is None and not isinstance(error, OSError):
            raise
        hint = "; check the path and its permissions" if isinstance(error, OSError) and error.filename else ""
        print(inert(f"laionet: {shown or with_causes(error) + hint}", keep="\n"), file=sys.stderr)
        code = 2
    except KeyboardInterrupt:
        print(INTERRUPTED, file=sys.stderr)
        code = exit_code()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # everything is on disk; DuckDB 2.0's teardown would list what other libraries still hold of it
