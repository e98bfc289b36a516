import os
import sqlite3
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import dagster as dg
import psutil
import pytest
from dagster._core.definitions.data_version import DATA_VERSION_TAG
from dagster._core.storage.event_log import SqliteEventLogStorage

from laionet_assets.warehouse import history
from laionet_assets.warehouse.history import history_kept_open, partitions_read_once


@dg.asset(check_specs=[dg.AssetCheckSpec("is_sound", asset="numbers")])
def numbers():  # type: ignore[no-untyped-def]
    yield dg.AssetCheckResult(check_name="is_sound", passed=True)
    yield dg.MaterializeResult(metadata={"rows": 3})


@dg.asset(
    partitions_def=dg.DynamicPartitionsDefinition(name="parts"),
    backfill_policy=dg.BackfillPolicy.single_run(),
    check_specs=[dg.AssetCheckSpec("is_whole", asset="pieces")],
)
def pieces(context: dg.AssetExecutionContext):  # type: ignore[no-untyped-def]
    yield dg.AssetCheckResult(check_name="is_whole", passed=True)
    for number, key in enumerate(context.partition_keys):
        context.add_asset_metadata({"rows": number}, partition_key=key)
    yield dg.MaterializeResult(data_version=dg.DataVersion("1"))


JOB = dg.Definitions(assets=[numbers, pieces]).resolve_implicit_global_asset_job_def()
NUMBERS = [numbers.key]
PARTS = 30
ROWS = (  # what is the same for every run, of every table of the index that an event goes to
    "select id, dagster_event_type, step_key, asset_key, partition from event_logs order by id",
    "select asset_key, last_materialization is not null from asset_keys order by 1",
    "select event_id, asset_key, key, value from asset_event_tags where key = 'dagster/data_version' order by 1",
    "select asset_key, check_name, partition, execution_status, evaluation_event_storage_id"
    " from asset_check_executions order by asset_key, check_name",
)
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    return tmp_path


def events(instance: dg.DagsterInstance, run_id: str) -> list[str]:
    return [
        entry.dagster_event.event_type_value for entry in instance.all_logs(run_id) if entry.dagster_event is not None
    ]


def open_databases(home: Path) -> list[str]:
    return [file.path for file in psutil.Process().open_files() if Path(file.path).is_relative_to(home)]


def test_the_history_is_the_same_and_everybody_reads_it_meanwhile(home: Path) -> None:
    with dg.DagsterInstance.from_config(str(home)) as instance, dg.DagsterInstance.from_config(str(home)) as other:
        plain = JOB.execute_in_process(instance=instance, asset_selection=NUMBERS, run_config=QUIET)
        with history_kept_open(instance):
            kept = JOB.execute_in_process(instance=instance, asset_selection=NUMBERS, run_config=QUIET)
            assert open_databases(home), "nothing was kept open"
            assert events(other, kept.run_id) == events(instance, kept.run_id)
            (check,) = other.event_log_storage.get_asset_check_execution_history(
                dg.AssetCheckKey(dg.AssetKey("numbers"), "is_sound"), limit=1
            )
            assert check.run_id == kept.run_id
        assert events(instance, kept.run_id) == events(instance, plain.run_id)
        assert "ASSET_MATERIALIZATION" in events(instance, kept.run_id)


def of_many_parts(home: Path, *, kept: bool) -> tuple[dict[str, list[Any]], list[str]]:
    """Make all parts at once. Returns the rows of the index, and the kinds of events in the run's own database."""
    home.mkdir()
    (home / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    with dg.DagsterInstance.from_config(str(home)) as instance, ExitStack() as block:
        keys = [f"part-{number:02d}" for number in range(PARTS)]
        instance.add_dynamic_partitions("parts", keys)
        tags = {"dagster/asset_partition_range_start": keys[0], "dagster/asset_partition_range_end": keys[-1]}
        if kept:
            block.enter_context(history_kept_open(instance))
        made = JOB.execute_in_process(instance=instance, asset_selection=[pieces.key], tags=tags, run_config=QUIET)
        kinds = events(instance, made.run_id)
    with sqlite3.connect(f"file:{home / 'history' / 'runs' / 'index.db'}?mode=ro", uri=True) as index:
        return {select: index.execute(select).fetchall() for select in ROWS}, kinds


def test_events_that_come_together_are_stored_as_one_by_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stored: list[int] = []
    store_batch = history._KeptOpen.store_batch

    def counted(kept: Any, of_batch: Any) -> None:
        stored.append(len(of_batch))
        store_batch(kept, of_batch)

    monkeypatch.setattr(history._KeptOpen, "store_batch", counted)
    one_by_one = of_many_parts(tmp_path / "plain", kept=False)
    assert stored == []
    assert of_many_parts(tmp_path / "kept", kept=True) == one_by_one
    assert stored == [PARTS + 1, PARTS], "planned parts and check, and materializations"
    assert all(one_by_one[0].values())


def test_a_batch_that_fails_is_stored_one_by_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tags = SqliteEventLogStorage.store_asset_event_tags

    def failing(storage: Any, of: Sequence[Any], ids: Sequence[int]) -> None:
        if len(of) > 1:
            raise sqlite3.OperationalError("no")
        tags(storage, of, ids)

    one_by_one = of_many_parts(tmp_path / "plain", kept=False)
    monkeypatch.setattr(SqliteEventLogStorage, "store_asset_event_tags", failing)  # the last but one of a batch
    assert of_many_parts(tmp_path / "kept", kept=True) == one_by_one


def test_tags_are_kept_and_a_table_is_looked_for_once(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked_for = []
    has_table = SqliteEventLogStorage.has_table

    def look(self: SqliteEventLogStorage, table_name: str) -> bool:
        looked_for.append(table_name)
        return has_table(self, table_name)

    monkeypatch.setattr(SqliteEventLogStorage, "has_table", look)
    with dg.DagsterInstance.from_config(str(home)) as instance:
        with history_kept_open(instance):
            for number in range(3):
                instance.report_runless_asset_event(
                    dg.AssetMaterialization("numbers", tags={DATA_VERSION_TAG: f"v{number}"})
                )
            assert looked_for == ["asset_event_tags"]
            assert not instance.event_log_storage.has_table("no_such_table")
        tags = instance.get_event_tags_for_asset(dg.AssetKey("numbers"))
        assert sorted(each[DATA_VERSION_TAG] for each in tags) == ["v0", "v1", "v2"]


def test_partitions_are_read_once_and_then_anew(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = []
    get = SqliteEventLogStorage.get_dynamic_partitions

    def look(self: SqliteEventLogStorage, name: str) -> Sequence[str]:
        read.append(name)
        return get(self, name)

    with dg.DagsterInstance.from_config(str(home)) as instance:
        instance.add_dynamic_partitions("letters", ["a", "b"])
        before = set(vars(instance.event_log_storage))
        monkeypatch.setattr(SqliteEventLogStorage, "get_dynamic_partitions", look)
        with partitions_read_once(instance):
            for _ in range(3):
                assert instance.get_dynamic_partitions("letters") == ["a", "b"]
                assert instance.has_dynamic_partition("letters", "b")
                assert not instance.has_dynamic_partition("letters", "c")
        assert read == ["letters"]
        assert set(vars(instance.event_log_storage)) == before
        instance.add_dynamic_partitions("letters", ["c"])
        assert instance.has_dynamic_partition("letters", "c")


def test_nothing_is_left_open_or_changed(home: Path) -> None:
    variables = dict(os.environ)
    with dg.DagsterInstance.from_config(str(home)) as instance:
        before = set(vars(instance.event_log_storage))
        with pytest.raises(KeyError), history_kept_open(instance):
            JOB.execute_in_process(instance=instance, asset_selection=NUMBERS, run_config=QUIET)
            raise KeyError
        assert open_databases(home) == []
        assert set(vars(instance.event_log_storage)) == before
        assert dict(os.environ) == variables
        assert not list(home.rglob("*-wal")), "the last to close copies the log into the database"


def test_a_block_in_a_block_and_another_storage_are_left_alone(home: Path) -> None:
    with dg.DagsterInstance.from_config(str(home)) as instance, history_kept_open(instance):
        with history_kept_open(instance):
            JOB.execute_in_process(instance=instance, asset_selection=NUMBERS, run_config=QUIET)
        assert open_databases(home), "the inner block closed what the outer one keeps"
    with dg.DagsterInstance.ephemeral() as instance, history_kept_open(instance):
        assert JOB.execute_in_process(instance=instance, asset_selection=NUMBERS, run_config=QUIET).success


def test_what_is_kept_open_is_the_same_database_and_waits_as_long(home: Path) -> None:
    def told(storage: SqliteEventLogStorage) -> list[tuple[str, int]]:
        connections = (storage.index_connection(), storage.run_connection("a-run"))
        found = []
        for opened in connections:
            with opened as connection:
                waits = connection.exec_driver_sql("pragma busy_timeout").scalar_one()
                found.append((str(connection.engine.url), waits))
        return found

    with dg.DagsterInstance.from_config(str(home)) as instance:
        plain = told(instance.event_log_storage)
        with history_kept_open(instance):
            kept = told(instance.event_log_storage)
        assert kept == plain and all(waits > 0 for _, waits in plain)
        assert plain[0][0].endswith("/index.db") and plain[1][0].endswith("/a-run.db")
