"""nginx's configuration, and a run of it where it is installed."""

import urllib.request
from pathlib import Path

import pytest

from tests.bench import webserver
from tests.bench.webserver import find_nginx, nginx_config, serving


def test_the_configuration_stays_in_its_folder_and_on_loopback(tmp_path: Path) -> None:
    text = nginx_config(tmp_path / "nginx", tmp_path / "web", 8123, is_root=False)
    assert "listen 127.0.0.1:8123" in text and f"root {tmp_path}/web;" in text
    assert "user root" not in text and "user root;" in nginx_config(tmp_path, tmp_path, 1, is_root=True)
    paths = [word.rstrip(";") for word in text.split() if word.startswith("/")]
    assert len(paths) == 8 and all(path.startswith(str(tmp_path)) for path in paths)


def test_without_nginx_nothing_is_served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webserver, "_PLACES", str(tmp_path))
    assert find_nginx() is None
    with pytest.raises(RuntimeError, match="not installed"), serving(tmp_path, tmp_path / "nginx"):
        pass


@pytest.mark.skipif(find_nginx() is None, reason="nginx is not installed")
def test_files_are_served_while_the_block_lasts(tmp_path: Path) -> None:
    (tmp_path / "web").mkdir()
    (tmp_path / "web" / "a.jpg").write_bytes(b"abc")
    with (
        serving(tmp_path / "web", tmp_path / "nginx") as server,
        urllib.request.urlopen(server.url("a.jpg"), timeout=5) as answer,
    ):
        assert (answer.read(), answer.headers["Content-Type"]) == (b"abc", "image/jpeg")
    with pytest.raises(OSError):
        urllib.request.urlopen(server.url("a.jpg"), timeout=5)
