"""`laionet check`: named steps that need no data, each with what it found."""

from collections.abc import Callable, Sequence
from pathlib import Path

import dagster as dg
from rich.console import Console

from laionet_assets.assets.pipeline import Pipeline, build_pipeline
from laionet_assets.definitions import build_defs
from laionet_assets.errors import UserError
from laionet_assets.quality.expectations import GRAIN_CHECKS
from laionet_assets.settings import load_settings
from laionet_assets.sqlmodels.binding import check_columns, check_expectations
from laionet_assets.sqlmodels.loader import Project, load_project
from laionet_assets.sqlmodels.unit import run_unit_test


def run_checks(config: Path | None) -> int:
    """Run every step and print what it found. Returns 0 if nothing is wrong."""
    console = Console(highlight=False, soft_wrap=True)
    failed = False

    def step(name: str, work: Callable[[], tuple[str, Sequence[str]]]) -> None:
        nonlocal failed
        try:
            found, problems = work()
        except UserError as error:
            found, problems = "", str(error).splitlines()
        mark = "[red]FAIL[/]" if problems else "[green]ok[/]  "
        console.print(f"{mark} {name:<16}", end="")
        console.print(found, markup=False)
        for problem in problems:
            console.print(f"       {problem}", markup=False)
        failed = failed or bool(problems)

    project: list[Project] = []
    pipeline: list[Pipeline] = []

    def settings_step() -> tuple[str, Sequence[str]]:
        settings = load_settings(config)
        return str(settings.config_path), []

    def models_step() -> tuple[str, Sequence[str]]:
        project.append(load_project())
        models = project[0].models.values()
        return (
            f"{len(models)} tables, {sum(model.select is not None for model in models)} of them SQL, "
            f"{len(project[0].macros)} macros; they parse, name their tables in full, and no cycle"
        ), []

    def pipeline_step() -> tuple[str, Sequence[str]]:
        pipeline.append(build_pipeline(load_settings(config), project=project[0]))
        defs = build_defs(pipeline[0].settings, pipeline=pipeline[0])
        dg.Definitions.validate_loadable(defs)
        dg_assets = len(defs.resolve_asset_graph().get_all_asset_keys())
        return f"{dg_assets} assets, {sum(len(step.model.expectations) for step in pipeline[0].steps)} checks", []

    def columns_step() -> tuple[str, Sequence[str]]:
        columns = sum(len(model.table.columns) for model in project[0].models.values())
        return f"{columns} documented columns against those the SQL produces", check_columns(project[0])

    def expectations_step() -> tuple[str, Sequence[str]]:
        checks = sum(len(model.expectations) for model in project[0].models.values())
        return f"{checks} checks asked of tables without rows", check_expectations(project[0])

    def documentation_step() -> tuple[str, Sequence[str]]:
        return "grain, description and owner of every table", documentation_gaps(project[0])

    def unit_tests_step() -> tuple[str, Sequence[str]]:
        tests = [(model, test) for model in project[0].models.values() for test in model.unit_tests]
        problems = [
            f"{model.documentation}: {test.name}: {difference}"
            for model, test in tests
            for difference in run_unit_test(project[0], model, test)
        ]
        untested = [
            f"{model.documentation}: no unit test"
            for model in project[0].models.values()
            if model.select is not None and not model.unit_tests
        ]
        return f"{len(tests)} given/expect tests", [*problems, *untested]

    step("settings", settings_step)
    step("models", models_step)
    if project:
        step("columns", columns_step)
        step("expectations", expectations_step)
        step("documentation", documentation_step)
        step("unit tests", unit_tests_step)
        if not failed:
            step("pipeline", pipeline_step)
    return 1 if failed else 0


def documentation_gaps(project: Project) -> list[str]:
    """What a reader of the yml would miss."""
    problems = []
    for model in project.models.values():
        if not model.table.description.lower().startswith("one row per"):
            problems.append(f"{model.documentation}: description: begin with the grain, `One row per ...`")
        if not model.owners:
            problems.append(f"{model.documentation}: owners: nobody")
        if all(expectation.name in GRAIN_CHECKS for expectation in model.expectations):
            problems.append(f"{model.documentation}: expectations: none")
    return problems
