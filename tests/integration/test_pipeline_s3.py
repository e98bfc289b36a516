"""Sources and warehouse on object storage: the same run, on a real S3 server on loopback."""

from pathlib import Path

import fsspec
import pytest

from laionet_assets.commands.snapshot import snapshot
from laionet_assets.warehouse.catalog import open_catalog
from tests.integration.conftest import Project

pytestmark = pytest.mark.integration

CONFIG = """
warehouse: s3://lake/warehouse
storage_options: &store {{key: "${{S3_KEY}}", secret: "${{S3_SECRET}}", client_kwargs: {{endpoint_url: "{endpoint}"}}}}
sources: [{{name: web, adapter: auto, path: "s3://lake/parts/*.parquet", storage_options: *store}}]
text_encoders: [{{name: minilm, model: "sentence-transformers:all-MiniLM-L6-v2"}}]
recipes: [{{name: paper, matching: paper, encoder: minilm, text_threshold: 0.5}}]
"""


SECRET = "of-nobody-else-7f3a"


@pytest.mark.slow
def test_run_from_and_to_object_storage(project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from moto.server import ThreadedMotoServer

    monkeypatch.setenv("S3_KEY", "test")
    monkeypatch.setenv("S3_SECRET", SECRET)
    part = project.add_part(0, rows=100)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        endpoint = f"http://{host}:{port}"
        store = fsspec.filesystem("s3", key="test", secret="test", client_kwargs={"endpoint_url": endpoint})
        store.mkdir("lake")
        store.put_file(str(part), f"lake/parts/{part.name}")
        project.config.write_text(CONFIG.format(endpoint=endpoint))
        wanted = '+key:"marts/funnel" or +key:"marts/image_outcomes"'
        assert project.run(select=wanted) == 0, project.printed[-1]
        assert project.run(select=wanted) == 0
        assert project.made() == set()
        with open_catalog(project.pipeline.warehouse) as connection:
            (rows,) = connection.execute("select sum(rows) from raw.parts").fetchone()
            assert rows == 100
            (images,) = connection.execute("select count(*) from core.laionet").fetchone()
            assert images > 0
        store.invalidate_cache()
        assert store.exists("lake/warehouse/core/laionet/data.parquet")
        snapshot(str(tmp_path / "snapshot.duckdb"), config=project.config)
        seen = [path for path in tmp_path.rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()]
        assert seen == []
        assert not any(SECRET in printed for printed in project.printed)
    finally:
        server.stop()
