import gzip
import random
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from laionet_assets.images.fetch.codings import CodingError, Decoder, codings_of
from tests.unit.images.fetch.raw_server import answer, ask, picture, raw_server


def raw_deflate(data: bytes) -> bytes:
    press = zlib.compressobj(wbits=-15)
    return press.compress(data) + press.flush()


@pytest.mark.parametrize(
    ("header", "codings"),
    [
        ("", ()),
        ("identity", ()),
        ("none, UTF-8,binary", ()),
        ("x-unknown", ()),
        (" GZip ", ("gzip",)),
        ("deflate, gzip", ("deflate", "gzip")),
        ("gzip, identity", ("gzip",)),
    ],
)
def test_names_of_no_coding_mean_nothing(header: str, codings: tuple[str, ...]) -> None:
    assert codings_of(header) == codings


@pytest.mark.parametrize("header", ["br", "zstd", "gzip, br", "gzip,gzip,gzip,gzip"])
def test_what_cannot_be_read_is_said(header: str) -> None:
    with pytest.raises(CodingError):
        codings_of(header)


ENCODED = {
    "gzip": gzip.compress,
    "several members": lambda data: b"".join(gzip.compress(data[i : i + 7]) for i in range(0, len(data), 7)),
    "bytes behind": lambda data: gzip.compress(data) + b"\x1f\x00 something else",
    "zlib": zlib.compress,
    "raw deflate": raw_deflate,
}


@given(st.sampled_from(sorted(ENCODED)), st.binary(min_size=1, max_size=100), st.integers(1, 30))
def test_it_is_decoded_in_pieces_of_any_size(kind: str, data: bytes, size: int) -> None:
    decoder = Decoder(("deflate",) if "deflate" in kind or kind == "zlib" else ("gzip",))
    body = ENCODED[kind](data)
    pieces = [decoder.decode(body[i : i + size], 1_000) for i in range(0, len(body), size)]
    assert b"".join(pieces) == data


def test_a_bomb_is_decoded_to_the_limit_and_no_further() -> None:
    bomb = gzip.compress(gzip.compress(bytes(50 * 2**20), 1), 1)
    assert len(Decoder(("gzip", "gzip")).decode(bomb, 1_000)) == 1_000


@pytest.mark.parametrize("codings", [("gzip",), ("deflate",)])
def test_what_is_not_compressed_at_all_is_corrupt(codings: tuple[str, ...]) -> None:
    with pytest.raises(CodingError):
        Decoder(codings).decode(random.Random(3).randbytes(200), 1_000)


def test_pictures_and_robots_txt_are_read_under_any_name_of_a_coding() -> None:
    data = picture()
    routes = {
        "/none": answer(data, "Content-Encoding: none"),
        "/utf-8": answer(data, "Content-Encoding: UTF-8"),
        "/two": answer(data, "Content-Encoding: binary", "Content-Encoding: identity"),
        "/raw": answer(raw_deflate(data), "Content-Encoding: deflate"),
        "/zlib": answer(zlib.compress(data), "Content-Encoding: deflate"),
        "/members": answer(gzip.compress(data[:99]) + gzip.compress(data[99:]), "Content-Encoding: gzip"),
        "/twice": answer(gzip.compress(gzip.compress(data)), "Content-Encoding: gzip, gzip"),
    }
    robots = answer(b"User-agent: *\nDisallow: /private", "Content-Encoding: none")
    with raw_server(routes, robots=robots) as server:
        *outcomes, private = ask(server, *(f"http://h.test{path}" for path in routes), "http://h.test/private/x")
    assert [o.error_class for o in outcomes] == [None] * len(routes)
    assert {o.size_bytes for o in outcomes} == {len(data)}
    assert private.error_class == "opted_out"
