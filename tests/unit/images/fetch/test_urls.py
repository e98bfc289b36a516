import pytest

from laionet_assets.images.fetch.urls import BadUrl, host_of, parse_url
from tests.unit.images.fetch.raw_server import answer, ask, picture, raw_server


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("http://example.com", "http://example.com/"),
        ("http://h.org/\ud800", "http://h.org/"),
        ("  HTTPS://EXAMPLE.com./a b?x=ü#part \n", "https://example.com./a%20b?x=%C3%BC"),
        ("http://münchen.de/ß", "http://xn--mnchen-3ya.de/%C3%9F"),
        ("http://h.org/open/%2e%2e/private/../x", "http://h.org/open/%2e%2e/private/../x"),
        (
            "http://h.org/%7euser/%c3%bc%2C(1)'!.jpg?u=http%3A%2F%2Fa,b",
            "http://h.org/%7euser/%c3%bc%2C(1)'!.jpg?u=http%3A%2F%2Fa,b",
        ),
        ("http://h.org//a//b/?", "http://h.org//a//b/?"),
        ("http://h.org?x=1&y=%zz%", "http://h.org/?x=1&y=%zz%"),
        ("http://h.org:8080/a+b;c=1?d+e", "http://h.org:8080/a+b;c=1?d+e"),
        ('http://h.org/"a"<b>|{c}^`\\', "http://h.org/%22a%22%3Cb%3E%7C%7Bc%7D%5E%60%5C"),
        ("http://h.org/a%2Fb%20c", "http://h.org/a%2Fb%20c"),
        ("http://h.org/?", "http://h.org/?"),
        ("http://8.8.8.8:8080/x", "http://8.8.8.8:8080/x"),
        ("http://[2001:4860::1]/x", "http://[2001:4860::1]/x"),
        ("http://my_host.example/x", "http://my_host.example/x"),
    ],
)
def test_a_url_keeps_what_is_legal_in_it(text: str, expected: str) -> None:
    assert str(parse_url(text)) == expected


@pytest.mark.parametrize(
    "text",
    [
        "", "x", "//h.org/x", "http://", "http:///x", "ftp://h.org/x", "file:///etc/passwd", "javascript:alert(1)",
        "data:image/png;base64,AA", "http://user@h.org/", "http://user:word@h.org/", "http://h.org:0/",
        "http://h.org:70000/", "http://a b.org/", "http://a\\b/", "http://h.org/\x00", "http://h.org/a\r\nHost: other",
        "http://2130706433/", "http://127.1/", "http://0x7f.0.0.1/", "http://%31%32%37.0.0.1/", "http://-h.org/",
        "http://h.org/" + "x" * 9_000, "http://[::1/",
    ],
)  # fmt: skip
def test_what_cannot_be_asked_is_no_url(text: str) -> None:
    with pytest.raises(BadUrl) as error:
        parse_url(text)
    assert not text.strip() or text not in str(error.value)


def test_a_redirect_is_relative_to_where_it_came_from() -> None:
    base = parse_url("https://h.org/a/b?x=1")
    assert str(parse_url("../c d", base=base)) == "https://h.org/c%20d"
    assert str(parse_url("/%7e/../c%2Cd?e=%3a", base=base)) == "https://h.org/%7e/../c%2Cd?e=%3a"
    assert str(parse_url("?y=%2c", base=base)) == "https://h.org/a/b?y=%2c"
    assert str(parse_url("/caf\udce9.jpg", base=base)) == "https://h.org/caf%E9.jpg", "Latin-1 in a header"
    assert str(parse_url("//other.org/y", base=base)) == "https://other.org/y"
    with pytest.raises(BadUrl):
        parse_url("file:///etc/passwd", base=base)


def test_the_host_of_a_url_has_no_final_dot() -> None:
    assert host_of(parse_url("http://Example.COM.:8080/x")) == "example.com"


TARGETS = [
    "/https%3A%2F%2Fother.test%2Fa%2Cb.jpg?sig=%2f%2B%3d",
    "/resize?url=http%3A%2F%2Fother.test%2Fa.jpg&w=1",
    "/a%28b%29%27(c)'.jpg",
    "/%7Euser/~user/%c3%bc.jpg",
    "/dots/./%2e%2e/../x.jpg",
    "/double//slash/?",
    "/plus+and%20space?a+b",
    "/percent%zz%",
    "/brackets[1].jpg?x[]=1",
    "/semi;colon=1,2:3@4!5$6&7*8",
]


@pytest.mark.parametrize("is_redirected", [False, True])
def test_the_server_sees_the_very_letters_that_were_published(is_redirected: bool) -> None:
    good, other = answer(picture()), answer(status="404 No")
    moves = {f"/to/{i}": answer(b"", f"Location: {target}", status="302 Found") for i, target in enumerate(TARGETS)}
    with raw_server({**dict.fromkeys(TARGETS, good), **moves}, other=other) as server:
        paths = list(moves) if is_redirected else TARGETS
        outcomes = ask(server, *(f"http://h.test{path}" for path in paths))
        assert [(o.error_class, o.http_status) for o in outcomes] == [(None, 200)] * len(TARGETS)
        assert sorted(server.asked) == sorted([*TARGETS, *(moves if is_redirected else ())])


def test_what_robots_txt_forbids_is_not_reached_by_a_detour() -> None:
    robots = answer(b"User-agent: *\nDisallow: /private/")
    with raw_server(robots=robots, other=answer(picture())) as server:
        detours = ["/open/../private/1", "/open/%2e%2e/private/2", "/private/../open/3", "/./private/4"]
        outcomes = ask(server, *(f"http://h.test{path}" for path in detours))
        assert {o.error_class for o in outcomes} == {"opted_out"}
        assert server.asked == []
