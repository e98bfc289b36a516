"""The stream: order, one decoding for all models, one result a failure, bounded look-ahead."""

import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from io import BytesIO

import pytest
from PIL import Image

from laionet_assets.pictures.stream import Item, Look, Refused, ordered_map, picture_stream


@dataclass
class Width:
    """A model that sees how wide a picture is; it cannot prepare one of 7 pixels."""

    name: str = "width"
    batch_pictures: int = 4
    batches: list[int] = field(default_factory=list)

    def prepare(self, image: Image.Image) -> int:
        if image.width == 7:
            raise ValueError("seven")
        return image.width

    def compute(self, inputs: Sequence[int]) -> list[str]:
        self.batches.append(len(inputs))
        return [f"{self.name} {width}" for width in inputs]


def png(width: int, mode: str = "RGB", orientation: int = 1) -> bytes:
    exif, buffer = Image.Exif(), BytesIO()
    exif[0x0112] = orientation
    Image.new(mode, (width, 5)).save(buffer, "PNG", exif=exif)
    return buffer.getvalue()


def items(*widths: int) -> list[Item]:
    return [(f"picture {width}", png(width)) for width in widths]


@pytest.mark.parametrize("workers", [1, 2, 5])
@pytest.mark.parametrize("count", [0, 1, 4, 23])
def test_looks_come_in_the_order_of_the_items(workers: int, count: int) -> None:
    looks = list(picture_stream(items(*range(10, 10 + count)), [Width()], workers=workers))
    assert [look.image_id for look in looks] == [f"picture {width}" for width in range(10, 10 + count)]
    assert [look.results for look in looks] == [(f"width {width}",) for width in range(10, 10 + count)]


def test_several_models_share_one_decoding() -> None:
    read: list[int] = []

    def reader(width: int) -> Item:
        def content() -> bytes:
            read.append(width)
            return png(width)

        return width, content

    models = [Width("a"), Width("b"), Width("c")]
    looks = list(picture_stream([reader(width) for width in range(10, 30)], models, workers=3))
    assert sorted(read) == list(range(10, 30))
    assert looks[0].results == ("a 10", "b 10", "c 10")


def test_what_is_kept_of_a_picture_is_small() -> None:
    (look,) = picture_stream([(0, png(9, "L"))], [Width()])
    assert look == Look(0, "corrected", ("width 9",), 9, 5, "L")


def test_an_unreadable_picture_is_refused_by_every_model() -> None:
    content = items(10, 11, 12)
    content[1] = ("broken", content[1][1][:30])
    looks = list(picture_stream(content, [Width("a"), Width("b")], batch_size=3))
    assert [look.results for look in looks[::2]] == [("a 10", "b 10"), ("a 12", "b 12")]
    one, other = looks[1].results
    assert isinstance(one, Refused) and one == other
    assert one.reason.startswith("decode: ")
    assert (looks[1].width, looks[1].height, looks[1].mode, looks[1].profiles) == (None, None, None, "both")


def test_what_a_model_cannot_prepare_costs_its_result_alone() -> None:
    class Any(Width):
        def prepare(self, image: Image.Image) -> int:
            return image.width

    looks = list(picture_stream(items(6, 7, 8), [Width("a"), Any("b")], batch_size=3))
    assert looks[1].results == (Refused("cannot be prepared: ValueError: seven"), "b 7")
    assert [look.results for look in looks[::2]] == [("a 6", "b 6"), ("a 8", "b 8")]


def test_a_model_without_anything_to_compute_is_not_called() -> None:
    model = Width()
    list(picture_stream([(0, b""), (1, png(7))], [model]))
    assert model.batches == []


@pytest.mark.parametrize(
    ("profiles", "expected"),
    [
        (("paper", "corrected"), [(0, "paper", 20), (0, "corrected", 5), (1, "both", 20), (2, "corrected", 20)]),
        (("corrected",), [(0, "corrected", 5), (1, "both", 20), (2, "corrected", 20)]),
        (("paper",), [(0, "paper", 20), (1, "both", 20)]),
    ],
)
def test_the_profiles_asked_for_are_looked_at(profiles: tuple, expected: list) -> None:
    contents = [(0, png(20, orientation=6)), (1, png(20)), (2, png(20, "L", orientation=1))]
    looks = picture_stream(contents, [Width()], profiles=profiles)
    assert [(look.image_id, look.profiles, int(look.results[0].split()[1])) for look in looks] == expected


def test_the_batch_is_the_smallest_that_suits_unless_one_is_asked_for() -> None:
    small, large = Width(batch_pictures=3), Width(batch_pictures=8)
    list(picture_stream(items(*range(10, 20)), [large, small], workers=1))
    assert small.batches == large.batches == [3, 3, 3, 1]
    model = Width()
    list(picture_stream(items(*range(10, 20)), [model], batch_size=5, workers=1))
    assert model.batches == [5, 5]


def test_faults_of_models_and_items_are_raised() -> None:
    class Broken(Width):
        def compute(self, inputs: Sequence[int]) -> list[str]:
            raise RuntimeError("out of memory")

    def lost() -> bytes:
        raise OSError("gone")

    with pytest.raises(RuntimeError, match="out of memory"):
        list(picture_stream(items(9), [Broken()]))
    with pytest.raises(OSError, match="gone"):
        list(picture_stream([(0, lost)], [Width()]))
    with pytest.raises(ValueError, match="at least one model"):
        list(picture_stream(items(9), []))


def test_items_are_read_in_this_thread_and_little_ahead() -> None:
    read: list[int] = []

    def source() -> Iterator[Item]:
        for width in range(10, 200):
            assert threading.current_thread() is threading.main_thread()
            read.append(width)
            yield width, png(width)

    looks = picture_stream(source(), [Width()], batch_size=2, workers=2)
    for taken in range(1, 30):
        next(looks)
        assert len(read) <= 2 * ((taken + 1) // 2 + 2 * 2)
    looks.close()
    assert len(read) < 60


def test_every_worker_is_set_up() -> None:
    ready: set[int] = set()
    seen: list[bool] = []

    class Checking(Width):
        def prepare(self, image: Image.Image) -> int:
            seen.append(threading.get_ident() in ready)
            return image.width

    set_up = lambda: ready.add(threading.get_ident())  # noqa: E731
    list(picture_stream(items(*range(10, 30)), [Checking()], workers=3, set_up=set_up))
    assert len(seen) == 20 and all(seen)


class TestOrderedMap:
    def test_order_with_uneven_work(self) -> None:
        def slow_first(i: int) -> int:
            time.sleep(0.05 if i == 0 else 0)
            return i * i

        assert list(ordered_map(slow_first, range(20), workers=4)) == [i * i for i in range(20)]

    def test_it_reads_at_most_twice_the_workers_ahead(self) -> None:
        read: list[int] = []

        def source() -> Iterator[int]:
            for i in range(100):
                read.append(i)
                yield i

        results = ordered_map(lambda i: i, source(), workers=2)
        for taken in range(10):
            next(results)
            assert len(read) <= taken + 1 + 2 * 2
        results.close()
        assert len(read) < 20

    def test_workers_work_at_the_same_time(self) -> None:
        meeting = threading.Barrier(3, timeout=10)
        assert len(list(ordered_map(lambda _: meeting.wait(), range(3), workers=3))) == 3

    def test_an_exception_comes_where_its_result_would(self) -> None:
        results = ordered_map(lambda i: 1 // (2 - i), range(5), workers=2)
        assert [next(results), next(results)] == [0, 1]
        with pytest.raises(ZeroDivisionError):
            next(results)
