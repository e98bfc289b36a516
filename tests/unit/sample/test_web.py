"""Files and folder of the synthetic web: bytes, schema, and what is drawn again and what is left alone."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from laionet_assets.errors import UserError
from laionet_assets.sample import sample_web_folder, web, write_sample_part


def drawn(cache: Path, *, parts: int = 2) -> Path:
    """The folder with small parts, so that it is drawn in no time."""
    return sample_web_folder(cache, parts=parts, rows=100)


def digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_schema_is_laions(web_folder: Path) -> None:
    import pyarrow.parquet as pq

    file = pq.ParquetFile(web_folder / "part-00000.snappy.parquet")
    assert [(field.name, str(field.type), field.nullable) for field in file.schema_arrow] == [
        ("SAMPLE_ID", "int64", True),
        ("URL", "string", True),
        ("TEXT", "string", True),
        ("HEIGHT", "int32", True),
        ("WIDTH", "int32", True),
        ("LICENSE", "string", True),
        ("NSFW", "string", True),
        ("similarity", "double", True),
    ]
    assert file.metadata.num_rows == 5000
    assert {file.metadata.row_group(0).column(column).compression for column in range(8)} == {"SNAPPY"}


def test_names_keep_truth_and_stamp_out_of_a_glob(web_folder: Path) -> None:
    assert sorted(path.name for path in web_folder.glob("*.parquet")) == [
        f"part-0000{n}.snappy.parquet" for n in range(4)
    ]
    truth = ["causes.json", *(f"part-0000{n}.parquet" for n in range(4))]
    assert sorted(path.name for path in (web_folder / "truth").iterdir()) == truth


def test_same_bytes_in_another_process_with_another_hash_seed(tmp_path: Path) -> None:
    script = "import sys; from pathlib import Path; from laionet_assets.sample import write_sample_part; "
    script += "write_sample_part(Path(sys.argv[1]), 3, rows=300)"
    for name, hash_seed in (("one", "1"), ("two", "2")):
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        subprocess.run([sys.executable, "-c", script, str(tmp_path / name)], check=True, env=environment)
    assert digests(tmp_path / "one") == digests(tmp_path / "two") != {}


def test_another_seed_gives_other_bytes(tmp_path: Path) -> None:
    first = write_sample_part(tmp_path / "a", 0, seed=0, rows=100).read_bytes()
    assert first != write_sample_part(tmp_path / "b", 0, seed=1, rows=100).read_bytes()


class TestFolder:
    def test_drawn_once(self, tmp_path: Path) -> None:
        folder = drawn(tmp_path / "cache")
        assert folder == tmp_path / "cache" / "synthetic-web"
        times = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
        assert len(times) == 2 * 2 + 3, "two parts, two truths, the causes, the stamp and the truth's folder"
        assert drawn(tmp_path / "cache") == folder
        assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == times
        assert [path.name for path in (tmp_path / "cache").iterdir()] == ["synthetic-web"]

    def test_added_changed_and_removed_files_stay_so(self, tmp_path: Path) -> None:
        folder = drawn(tmp_path)
        write_sample_part(folder, 4, rows=100)
        (folder / "notes.txt").write_text("mine")
        (folder / "part-00000.snappy.parquet").write_bytes(b"changed")
        (folder / "part-00001.snappy.parquet").unlink()
        before = digests(folder)
        drawn(tmp_path)
        assert digests(folder) == before

    def test_another_version_draws_its_own_parts_again(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        folder = drawn(tmp_path)
        fresh = digests(folder)
        write_sample_part(folder, 4, rows=100)
        (folder / "part-00000.snappy.parquet").write_bytes(b"old")
        monkeypatch.setattr(web, "VERSION", web.VERSION + 1)
        added = digests(folder)["part-00004.snappy.parquet"]
        drawn(tmp_path)
        now = digests(folder)
        assert now["part-00000.snappy.parquet"] == fresh["part-00000.snappy.parquet"]
        assert now["part-00004.snappy.parquet"] == added
        assert json.loads((folder / web.STAMP).read_text())["version"] == web.VERSION

    def test_fewer_parts_remove_what_was_drawn(self, tmp_path: Path) -> None:
        folder = drawn(tmp_path)
        drawn(tmp_path, parts=1)
        left = {web.STAMP, "part-00000.snappy.parquet", "truth/part-00000.parquet", "truth/causes.json"}
        assert set(digests(folder)) == left

    def test_another_effect_draws_it_again(self, tmp_path: Path) -> None:
        folder = drawn(tmp_path)
        before = digests(folder)
        sample_web_folder(tmp_path, parts=2, rows=100, effect=0.0)
        changed = {name for name, digest in digests(folder).items() if digest != before[name]}
        truths = {"truth/part-00000.parquet", "truth/part-00001.parquet", "truth/causes.json"}
        assert changed == truths | {web.STAMP}, "the rows are the same"

    def test_a_run_cut_short_is_taken_up(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def killed(folder: Path, **_: int) -> None:
            write_sample_part(folder, 0, rows=100)
            raise KeyboardInterrupt

        folder = drawn(tmp_path)
        whole = digests(folder)
        monkeypatch.setattr(web, "VERSION", web.VERSION + 1)
        with monkeypatch.context() as cut:
            cut.setattr(web, "write_sample_web", killed)
            with pytest.raises(KeyboardInterrupt):
                drawn(tmp_path)
        (folder / "part-00001.snappy.parquet").unlink()
        drawn(tmp_path)
        assert {**digests(folder), web.STAMP: ""} == {**whole, web.STAMP: ""}

    def test_files_of_the_user_are_never_overwritten(self, tmp_path: Path) -> None:
        folder = tmp_path / "synthetic-web"
        folder.mkdir()
        (folder / "part-00001.snappy.parquet").write_bytes(b"mine")
        with pytest.raises(UserError, match=r"holds part-00001\.snappy\.parquet, which this project did not draw"):
            drawn(tmp_path)
        assert set(digests(folder)) == {"part-00001.snappy.parquet"}

    def test_a_folder_with_only_parts_of_the_user_is_filled(self, tmp_path: Path) -> None:
        folder = tmp_path / "synthetic-web"
        write_sample_part(folder, 4, rows=100)
        drawn(tmp_path)
        assert len(list(folder.glob("*.parquet"))) == 3

    def test_two_processes_may_draw_at_once(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        draw = web.write_sample_web

        def overtaken(folder: Path, *, parts: int, rows: int, effect: float) -> None:
            draw(folder, parts=parts, rows=rows, effect=effect)
            monkeypatch.setattr(web, "write_sample_web", draw)
            drawn(tmp_path)

        monkeypatch.setattr(web, "write_sample_web", overtaken)
        folder = drawn(tmp_path)
        assert len(list(folder.glob("*.parquet"))) == 2
        assert [path.name for path in tmp_path.iterdir()] == ["synthetic-web"]
