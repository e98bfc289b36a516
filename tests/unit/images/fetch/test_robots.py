import time
from datetime import UTC, datetime

import pytest
from yarl import URL

from laionet_assets.images.fetch.exchange import Answer
from laionet_assets.images.fetch.journey import robots_rules
from laionet_assets.images.fetch.outcomes import ErrorClass
from laionet_assets.images.fetch.policy import OPT_OUT_TOKENS
from laionet_assets.images.fetch.robots import (
    MAX_ROBOTS_BYTES,
    RobotsCache,
    RobotsRules,
    opted_out_directive,
    parse_robots,
)
from tests.unit.images.fetch.raw_server import answer as wire_answer
from tests.unit.images.fetch.raw_server import ask, picture, raw_server

PRODUCT = "laionet-assets"


def allows(text: str, path: str = "/a/b.jpg") -> bool:
    return parse_robots(text.encode(), PRODUCT).allows(URL("http://h.org" + path), PRODUCT)


@pytest.mark.parametrize(
    ("text", "allowed"),
    [
        ("", True),
        ("User-agent: *\nDisallow:", True),
        ("User-agent: *\nDisallow: /", False),
        ("\ufeffUser-agent: *\r\nDisallow: /a/\r\n", False),
        ("User-agent: *\nDisallow: /b", True),
        ("User-agent: *\nDisallow: /a/\nAllow: /a/b", True),
        ("User-agent: *\nDisallow: /*.jpg$", False),
        ("User-agent: other\nDisallow: /", True),
        ("User-agent: other\nUser-agent: *\nDisallow: /", False),
        ("User-agent: other\nUser-agent: another\nDisallow: /\nUser-agent: *\nAllow: /", True),
        ("User-agent: Laionet-Assets\nDisallow: /\n\nUser-agent: *\nAllow: /", False),
        ("User-agent: laionet-assets/2.0 # us\nDisallow: /\nUser-agent: *\nAllow: /", False),
        ("User-agent: *\nDisallow: /\nUser-agent: laionet-assets\nAllow: /", True),
        ("User-agent: assets\nDisallow: /", True),
        ("User-agent: other\nSitemap: x\nUser-agent: *\nDisallow: /", False),
        ("User-agent: *\nDisallow: /a\nSitemap: x\n\nUser-agent: other\nAllow: /", False),
        ("User-agent:\nDisallow: /", True),
        ("Disallow: /", True),
        ("<html>not found</html>", True),
    ],
)
def test_groups_and_rules(text: str, allowed: bool) -> None:
    assert allows(text) is allowed


def test_what_lies_beyond_500_kib_is_ignored() -> None:
    filler = "#" + "x" * 99 + "\n"
    head = filler * (MAX_ROBOTS_BYTES // len(filler))
    assert not allows("User-agent: *\nDisallow: /a\n" + head)
    assert allows(head + filler * 2 + "User-agent: *\nDisallow: /a\n")


@pytest.mark.parametrize(
    "text",
    [
        "".join(f"User-agent: bot{i}\n" for i in range(12_000)) + "Disallow: /x\n" * 20_000,
        "".join(f"User-agent: b{i}\nSitemap: x\nUser-agent: *\n" for i in range(6_000)) + "Allow: /x\n" * 20_000,
        "User-agent: *\nDisallow: /" + "*a" * 200_000 + "$",
        "User-agent: *\n" + "".join(f"Disallow: /{'*a' * 20}{i}$\n" for i in range(9_000)),
    ],
    ids=["names x rules", "alternating names", "one long pattern", "many patterns"],
)
def test_a_hostile_file_takes_no_time(text: str) -> None:
    began = time.process_time()
    rules = parse_robots(text.encode(), PRODUCT)
    for i in range(10):
        rules.allows(URL(f"http://h.org/{'a' * 2_000}{i}"), PRODUCT)
    assert time.process_time() - began < 3


def test_crawl_delay_is_read_for_us() -> None:
    text = b"User-agent: *\nCrawl-delay: 2.5\nUser-agent: other\nCrawl-delay: 100"
    assert parse_robots(text, PRODUCT).crawl_delay(PRODUCT) == 2.5
    assert RobotsRules().crawl_delay(PRODUCT) == 0


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (Answer(body=b""), None),
        (Answer(ErrorClass.HTTP_404, http_status=404), None),
        (Answer(ErrorClass.HTTP_4XX, http_status=403), None),
        (Answer(ErrorClass.TOO_MANY_REDIRECTS, http_status=301), None),
        (Answer(ErrorClass.HTTP_5XX, http_status=503), ErrorClass.ROBOTS_UNAVAILABLE),
        (Answer(ErrorClass.HTTP_429, http_status=429), ErrorClass.ROBOTS_UNAVAILABLE),
        (Answer(ErrorClass.DNS), ErrorClass.DNS),
        (Answer(ErrorClass.TIMEOUT), ErrorClass.TIMEOUT),
        (Answer(ErrorClass.FORBIDDEN_ADDRESS), ErrorClass.FORBIDDEN_ADDRESS),
        (Answer(ErrorClass.PROTOCOL, "not HTTP"), ErrorClass.ROBOTS_UNAVAILABLE),
        (Answer(ErrorClass.BAD_URL, "redirect: not a URL"), ErrorClass.ROBOTS_UNAVAILABLE),
        (Answer(ErrorClass.TOO_LARGE), ErrorClass.ROBOTS_UNAVAILABLE),
    ],
)
def test_what_an_answer_means(answer: Answer, error: ErrorClass | None) -> None:
    rules = robots_rules(answer, product=PRODUCT)
    assert rules.error == error
    assert rules.allows(URL("http://h.org/x"), PRODUCT) is (error is None)


@pytest.mark.parametrize("error", list(ErrorClass))
def test_no_fault_of_robots_txt_is_final_for_the_pictures_of_a_host(error: ErrorClass) -> None:
    """But for an address that must not be connected to, robots.txt or not."""
    for is_redirected in (False, True):
        found = robots_rules(Answer(error), product=PRODUCT, is_redirected=is_redirected).error
        assert found is None or found.is_retryable or (found == error == ErrorClass.FORBIDDEN_ADDRESS)


def test_a_redirect_to_nowhere_is_no_answer() -> None:
    rules = robots_rules(Answer(ErrorClass.FORBIDDEN_ADDRESS), product=PRODUCT, is_redirected=True)
    assert rules.error == ErrorClass.ROBOTS_UNAVAILABLE


def test_the_cache_forgets_by_time_and_by_size() -> None:
    cache = RobotsCache()
    rules = RobotsRules(source_bytes=10 * 2**20)
    cache.put("http://a", rules, until=100)
    assert cache.get("http://a", now=99) is rules
    assert cache.get("http://a", now=100) is None
    for i in range(6):
        cache.put(f"http://{i}", rules, until=100)
    cache.get("http://0", now=1)
    cache.put("http://6", rules, until=100)
    kept = [name for name in "0123456" if cache.get(f"http://{name}", now=1) is not None]
    assert "0" in kept and "6" in kept and "1" not in kept and len(kept) <= 6


@pytest.mark.parametrize(
    ("values", "directive"),
    [
        ([], None),
        (["all"], None),
        (["noai"], "noai"),
        (["nofollow, NoImageAI"], "noimageai"),
        (["noindex, follow"], "noindex"),
        (["none"], "none"),
        (["nofollow", "noimageindex"], "noimageindex"),
        (["googlebot: noindex, noai"], None),
        (["googlebot: noindex", "noai"], "noai"),
        (["googlebot: all, laionet-assets: noai"], "noai"),
        (["LAIONET-ASSETS: noindex"], "noindex"),
        (["laionet-assets: all, otherbot: noai"], None),
        (["*: noai"], "noai"),
        (["unavailable_after: 25 Jun 2040 15:00:00 PST, noindex"], "noindex"),
        (["unavailable_after: Mon, 25 Jun 2040 15:00:00 GMT, noindex"], "noindex"),
        (["unavailable_after: Monday, 25-Jun-40 15:00:00 GMT, noai"], "noai"),
        (["unavailable_after: 2040-06-25T15:00:00+02:00, noai"], "noai"),
        (["unavailable_after: 25 Jun 2040, 15:00:00 GMT, noai"], "noai"),
        (["noai, unavailable_after: Mon, 25 Jun 2040 15:00:00 GMT"], "noai"),
        (["googlebot: unavailable_after: Mon, 25 Jun 2040 15:00:00 GMT, noai"], None),
        (["googlebot: unavailable_after: Mon, 25 Jun 2040 15:00:00 GMT, laionet-assets: noai"], "noai"),
        (["laionet-assets: unavailable_after: Mon, 25 Jun 2001 15:00:00 GMT"], "unavailable_after"),
        (["googlebot: unavailable_after: Mon, 25 Jun 2001 15:00:00 GMT"], None),
        (["unavailable_after: 25 Jun 2010 15:00:00 PST"], "unavailable_after"),
        (["all, unavailable_after: Friday, 25-Jun-10 15:00:00 GMT"], "unavailable_after"),
        (["unavailable_after: 2010-06-25"], "unavailable_after"),
        (["unavailable_after: 25 Jun 2040 15:00:00 GMT"], None),
        (["unavailable_after: some day, follow"], None),
        (["unavailable_after:"], None),
        (["googlebot: all, otherbot: none, *: noimageai"], "noimageai"),
        (["googlebot/2.1: noai"], None),
        (["laionet-assets/1.0: noai"], "noai"),
        (["my words: noai"], None),
        (["max-snippet: 20, noai"], "noai"),
        (["noaiplease"], None),
    ],
)
def test_x_robots_tag(values: list[str], directive: str | None) -> None:
    assert opted_out_directive(values, tokens=OPT_OUT_TOKENS, product=PRODUCT) == directive


def test_only_the_configured_directives_count() -> None:
    assert opted_out_directive(["noindex, none"], tokens=("noai",), product=PRODUCT) is None
    assert opted_out_directive(["unavailable_after: 2010-06-25"], tokens=("noai",), product=PRODUCT) is None


def test_a_date_counts_from_its_moment_on() -> None:
    def found(now: datetime) -> str | None:
        value = ["unavailable_after: Wed, 25 Jun 2031 15:00:00 GMT"]
        return opted_out_directive(value, tokens=OPT_OUT_TOKENS, product=PRODUCT, now=now)

    assert found(datetime(2031, 6, 25, 14, 59, 59, tzinfo=UTC)) is None
    assert found(datetime(2031, 6, 25, 15, tzinfo=UTC)) == "unavailable_after"


def test_no_picture_of_a_host_that_says_so_is_kept() -> None:
    """With the tag in any form, over the wire."""
    tags = ["noai", "unavailable_after: Mon, 25 Jun 2040 15:00:00 GMT, noindex", "*: none"]
    routes = {f"/{i}": wire_answer(picture(), f"X-Robots-Tag: {tag}") for i, tag in enumerate(tags)}
    with raw_server(routes) as server:
        assert {o.error_class for o in ask(server, *(f"http://h.test{path}" for path in routes))} == {"opted_out"}
