"""Processes that decode: the same as in threads, whatever happens to one of them, and nothing left behind."""

import mmap
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from PIL import Image

from laionet_assets.pictures import processes
from laionet_assets.pictures.processes import Processes, are_worth_it
from laionet_assets.pictures.sight import Prepare, Refused
from laionet_assets.pictures.stream import Item, Look, picture_stream
from tests.unit.pictures import prepares


@dataclass
class Model:
    """A model that gives back what it is given, so that a difference shows; arrays as their bytes."""

    prepare: Prepare
    batch_pictures: int = 4

    def compute(self, inputs: Sequence[Any]) -> list[Any]:
        return [(one.shape, one.dtype.str, one.tobytes()) if isinstance(one, np.ndarray) else one for one in inputs]


MODELS = [Model(prepares.pixels), Model(prepares.mean), Model(prepares.width)]


def picture(width: int, height: int = 5, *, mode: str = "RGB", kind: str = "PNG", orientation: int = 1) -> bytes:
    exif, buffer = Image.Exif(), BytesIO()
    exif[0x0112] = orientation
    noise = np.random.default_rng(width).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(noise).convert(mode).save(buffer, kind, exif=exif)
    return buffer.getvalue()


def items(*widths: int) -> list[Item]:
    return [(f"picture {width}", picture(width)) for width in widths]


def looks(content: Sequence[Item], models: Sequence[Model] = MODELS, **options: Any) -> list[Look[Any]]:
    return list(picture_stream(content, models, **options))


def children() -> list[psutil.Process]:
    return [each for each in psutil.Process().children() if "laionet_assets.pictures.processes" in each.cmdline()]


def until(holds: Callable[[], Any], seconds: float = 30) -> Any:
    end = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.02)
    return found


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    yield
    assert not children()


def test_looks_are_those_of_threads_to_the_byte(tmp_path: Path) -> None:
    file = tmp_path / "picture.jpg"
    file.write_bytes(picture(20, kind="JPEG"))
    content: list[Item] = [
        *items(10, 11, prepares.REFUSED),
        ("large", picture(900, 700)),
        ("turned", picture(20, orientation=6)),
        ("grey", picture(9, mode="L")),
        ("broken", picture(30)[:50]),
        ("empty", b""),
        ("file", file),
        ("gone", tmp_path / "gone.jpg"),
        ("called", lambda: picture(31)),
        *items(*range(40, 60)),
    ]
    expected = looks(content, workers=1)
    for workers in (1, 3):
        assert looks(content, workers=workers, processes=True) == expected
    refused = [look.image_id for look in expected if isinstance(look.results[0], Refused)]
    assert refused == [f"picture {prepares.REFUSED}", "broken", "empty", "gone"]


def test_a_picture_that_crashes_its_decoder_costs_itself_alone_and_is_told() -> None:
    told: list[str] = []
    content = items(10, 11, prepares.CRASHING, 12, 14, 15)
    found = looks(content, workers=2, processes=True, log=told.append)
    assert [look.image_id for look in found] == [image_id for image_id, _ in content]
    reason = "decode: the process that decoded it was ended by SIGSEGV"
    assert found[2].results == (Refused(reason),) * 3
    others = [item for item in content if item[0] != f"picture {prepares.CRASHING}"]
    assert [*found[:2], *found[3:]] == looks(others, workers=1)
    assert told == [
        "a process that decodes pictures was ended by SIGSEGV, over 4 pictures: each is tried alone",
        "a process that decodes pictures was ended by SIGSEGV, over one picture alone: it is refused",
    ]


def test_a_process_that_is_killed_costs_nothing_and_is_told(tmp_path: Path) -> None:
    told: list[str] = []

    def kill() -> None:
        first = until(lambda: list(tmp_path.iterdir()))[0]
        os.kill(int(first.name), signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    models = [Model(prepares.Slow(tmp_path, 0.2), batch_pictures=3)]
    found = looks(items(10, 11, 12, 13 + 1), models, workers=1, processes=True, log=told.append)
    killer.join()
    assert [look.results for look in found] == [(10,), (11,), (12,), (14,)]
    assert told == ["a process that decodes pictures was ended by SIGKILL, over 3 pictures: each is tried alone"]


def test_one_that_does_not_come_back_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "_PATIENCE_SECONDS", 5.0)
    told: list[str] = []
    found = looks(items(10, prepares.ENDLESS), workers=1, processes=True, log=told.append)
    assert isinstance(found[1].results[0], Refused) and not isinstance(found[0].results[0], Refused)
    assert "took more than 5 s, over 2 pictures" in told[0]


def test_arrays_beyond_the_memory_are_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "_MOST_BYTES", 1_000)
    memory = processes._Memory(file := processes._anonymous_file())
    for arrays in ([600, 300, 600, 10], [5, 1_001]):
        memory.begin()
        content = [np.full(size, i, dtype=np.uint8) for i, size in enumerate(arrays)]
        answer = pickle.dumps(content, protocol=5, buffer_callback=memory.put)
        with mmap.mmap(file, memory.size) as seen:
            views = [seen[start:end] for start, end in memory.places]
        found = pickle.loads(answer, buffers=views)
        assert all(np.array_equal(one, other) for one, other in zip(found, content, strict=True))
        assert [end - start for start, end in memory.places] == ([600, 300, 10] if len(arrays) == 4 else [5])
        assert all(start % 64 == 0 for start, _ in memory.places)
    os.close(file)


def test_what_cannot_be_sent_is_a_mistake() -> None:
    with pytest.raises(TypeError, match="cannot be sent to another process"):
        looks(items(10), [Model(lambda image: image.width)], processes=True)


def test_what_cannot_be_loaded_there_is_raised_with_its_reason() -> None:
    with pytest.raises(RuntimeError, match="could not begin: ImportError: no weights here"):
        looks(items(10), [Model(prepares.NotLoaded())], processes=True)


def test_a_stream_that_is_left_ends_its_processes_at_once(tmp_path: Path) -> None:
    stream = picture_stream(items(*range(20, 60)), [Model(prepares.Slow(tmp_path, 0.3))], workers=2, processes=True)
    next(stream)
    assert len(children()) == 2
    start = time.monotonic()
    stream.close()
    assert time.monotonic() - start < 5
    assert not children()


def test_a_file_of_the_working_directory_is_no_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("pickle", "numpy", "laionet_assets"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit(1)")
    monkeypatch.chdir(tmp_path)
    assert [look.results[2] for look in looks(items(20), processes=True, workers=1)] == [20]


def test_threads_that_wait_are_told_that_it_is_over() -> None:
    elsewhere = Processes(prepares.sleepy, crashed=str)
    failed: list[BaseException] = []

    def ask() -> None:
        try:
            elsewhere.map([b""])
        except RuntimeError as error:
            failed.append(error)

    asking = threading.Thread(target=ask)
    asking.start()
    until(children)
    time.sleep(0.5)
    elsewhere.close()
    asking.join(30)
    assert not asking.is_alive() and "closed" in str(failed[0])


PARENT = """
import signal
import sys
from tests.unit.pictures import prepares
from tests.unit.pictures.test_processes import Model, items
from laionet_assets.pictures.stream import picture_stream
from pathlib import Path

signal.signal(signal.SIGINT, signal.default_int_handler)  # what a script starts in the background ignores it
models = [Model(prepares.Slow(Path(sys.argv[1]), 0.2))]
for look in picture_stream(items(*range(20, 900)), models, workers=2, processes=True):
    print(look.image_id, flush=True)
"""


@pytest.mark.parametrize("ending", ["kill", "ctrl-c", "ctrl-c for all"])
def test_no_process_is_left_behind_its_parent(tmp_path: Path, ending: str) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path)],
        cwd=Path(__file__).parents[3],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    assert parent.stdout is not None and parent.stdout.readline()
    until(lambda: len(list(tmp_path.iterdir())) == 2)
    started = [psutil.Process(int(path.name)) for path in tmp_path.iterdir()]
    if ending == "ctrl-c for all":
        os.killpg(parent.pid, signal.SIGINT)
    else:
        parent.send_signal(signal.SIGKILL if ending == "kill" else signal.SIGINT)
    parent.wait(30)
    _, alive = psutil.wait_procs(started, timeout=10)
    assert not alive


def test_few_cores_keep_to_threads() -> None:
    assert [are_worth_it(cores) for cores in (1, 2, 3, 4, 16)] == [False, False, False, True, True]
