from collections.abc import Sequence
from pathlib import Path

import dagster as dg
import psutil
import pytest
from dagster._core.definitions.data_version import DATA_VERSION_TAG
from dagster._core.storage.event_log import SqliteEventLogStorage

from laionet_assets.warehouse.history import history_kept_open, partitions_read_once


@dg.asset(check_specs=[dg.AssetCheckSpec("is_sound", asset="numbers")])
def numbers():  # type: ignore[no-untyped-def]
    yield dg.AssetCheckResult(check_name="is_sound", passed=True)
    yield dg.MaterializeResult(metadata={"rows": 3})


JOB = dg.Definitions(assets=[numbers]).resolve_implicit_global_asset_job_def()
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
        plain = JOB.execute_in_process(instance=instance, run_config=QUIET)
        with history_kept_open(instance):
            kept = JOB.execute_in_process(instance=instance, run_config=QUIET)
            assert open_databases(home), "nothing was kept open"
            assert events(other, kept.run_id) == events(instance, kept.run_id)
            (check,) = other.event_log_storage.get_asset_check_execution_history(
                dg.AssetCheckKey(dg.AssetKey("numbers"), "is_sound"), limit=1
            )
            assert check.run_id == kept.run_id
        assert events(instance, kept.run_id) == events(instance, plain.run_id)
        assert "ASSET_MATERIALIZATION" in events(instance, kept.run_id)


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
    with dg.DagsterInstance.from_config(str(home)) as instance:
        before = set(vars(instance.event_log_storage))
        with pytest.raises(KeyError), history_kept_open(instance):
            JOB.execute_in_process(instance=instance, run_config=QUIET)
            raise KeyError
        assert open_databases(home) == []
        assert set(vars(instance.event_log_storage)) == before
        assert not list(home.rglob("*-wal")), "the last to close copies the log into the database"


def test_a_block_in_a_block_and_another_storage_are_left_alone(home: Path) -> None:
    with dg.DagsterInstance.from_config(str(home)) as instance, history_kept_open(instance):
        with history_kept_open(instance):
            JOB.execute_in_process(instance=instance, run_config=QUIET)
        assert open_databases(home), "the inner block closed what the outer one keeps"
    with dg.DagsterInstance.ephemeral() as instance, history_kept_open(instance):
        assert JOB.execute_in_process(instance=instance, run_config=QUIET).success


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
