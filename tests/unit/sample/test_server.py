"""The synthetic web over real HTTP: what each address answers, asked with Python's own client."""

import http.client
import io
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urljoin, urlsplit
from urllib.robotparser import RobotFileParser

import pytest
from PIL import Image

from laionet_assets.errors import UserError
from laionet_assets.sample.manners import ALL_HOSTS, REFUSING_HOST, SLOW_HOST, VAGUE_HOST, Address, Fault, fault
from laionet_assets.sample.server import SampleWebServer
from laionet_assets.sample.web import truth_path, write_sample_part
from laionet_assets.sample.web_pictures import is_tiny, web_picture

from .conftest import Part

REDIRECTS = (301, 302)
Answer = tuple[http.client.HTTPResponse, bytes]


@pytest.fixture(scope="module")
def server(web_folder: Path) -> Iterator[SampleWebServer]:
    with SampleWebServer(web_folder) as server:
        yield server


@pytest.fixture(scope="module")
def urls(parts: list[Part]) -> dict[Fault, list[str]]:
    """Addresses by fault, without those that robots.txt or a refusing host keep out, and without tiny pictures."""
    found: dict[Fault, list[str]] = defaultdict(list)
    for part in parts:
        for row, truth in zip(part.rows, part.truth, strict=True):
            url = row["URL"]
            if url and not is_tiny(truth["style"], truth["picture_seed"]):
                address = Address.of(url)
                if address.host != REFUSING_HOST and not url.startswith("http://shop.web.sample.invalid/7"):
                    found[fault(address)].append(url)
    return found


def get(server: SampleWebServer, url: str) -> Answer:
    """One exchange, as a client makes it that maps host names."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(*server.hosts()[parts.hostname], timeout=10)
    try:
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request("GET", target, headers={"Host": parts.netloc})
        response = connection.getresponse()
        return response, response.read()
    finally:
        connection.close()


def fetched(server: SampleWebServer, url: str) -> str:
    """How a polite client ends: robots.txt, redirects, one more try after Retry-After, X-Robots-Tag, a whole decode."""
    seen: set[str] = set()
    tries = 0
    while url not in seen:
        host = urlsplit(url).hostname
        try:
            response, body = get(server, f"http://{host}/robots.txt")
            robots = RobotFileParser()
            robots.parse(body.decode().splitlines() if response.status == 200 else [])
            if not robots.can_fetch("laionet-assets", url):
                return "opted_out"
            response, body = get(server, url)
        except (http.client.HTTPException, OSError):
            return "connect"
        if "Retry-After" in response.headers and tries == 0:
            tries += 1
            time.sleep(int(response.headers["Retry-After"]))
            continue
        if response.headers.get("X-Robots-Tag", "").startswith("no"):
            return "opted_out"
        if response.status in REDIRECTS:
            seen.add(url)
            url = urljoin(url, response.headers["Location"])
            continue
        return judged(response.status, body)
    return "too_many_redirects"


def judged(status: int, body: bytes) -> str:
    if status in (404, 410):
        return "http_404"
    if status != 200:
        return f"http_{status // 100}xx"
    try:
        image = Image.open(io.BytesIO(body))
    except OSError:
        return "not_an_image"
    if image.width * image.height < 100:
        return "too_small"
    try:
        image.load()
    except OSError:
        return "decode"
    return "success"


@pytest.mark.parametrize("each", Fault)
def test_addresses_end_as_the_server_says(server: SampleWebServer, urls: dict[Fault, list[str]], each: Fault) -> None:
    asked = urls[each][:2]
    outcomes = {url: fetched(server, url) for url in asked}
    assert outcomes == {url: server.expected_outcome(url) for url in asked}


def test_what_each_fault_answers(server: SampleWebServer, urls: dict[Fault, list[str]]) -> None:
    statuses = {
        Fault.NONE: 200,
        Fault.MOVED: 301,
        Fault.MOVED_TWICE: 302,
        Fault.MOVED_AWAY: 301,
        Fault.LOOP: 302,
        Fault.HOME_PAGE: 302,
        Fault.PLACEHOLDER: 200,
        Fault.EMPTY: 200,
        Fault.OPTED_OUT: 200,
        Fault.BROKEN: 500,
        Fault.FORBIDDEN: 403,
        Fault.GONE: 410,
    }
    assert {each: get(server, urls[each][2])[0].status for each in statuses} == statuses


@pytest.mark.parametrize(("each", "status"), [(Fault.BUSY_ONCE, 429), (Fault.UNAVAILABLE_ONCE, 503)])
def test_busy_addresses_answer_the_second_time(
    server: SampleWebServer, urls: dict[Fault, list[str]], each: Fault, status: int
) -> None:
    first, second, third = (get(server, urls[each][3])[0] for _ in range(3))
    assert (first.status, first.headers["Retry-After"]) == (status, "1")
    assert [second.status, third.status] == [200, 200]


def test_a_picture_is_the_one_of_the_row(server: SampleWebServer, parts: list[Part]) -> None:
    served = 0
    for row, truth in zip(parts[1].rows, parts[1].truth, strict=True):
        if row["URL"] and served < 5 and fault(Address.of(row["URL"])) is Fault.NONE:
            response, body = get(server, row["URL"])
            assert body == web_picture(truth["style"], truth["depicted"], truth["picture_seed"])
            assert int(response.headers["Content-Length"]) == len(body)
            served += 1
    assert served == 5


def test_a_moved_picture_is_the_one_that_was_there(server: SampleWebServer, urls: dict[Fault, list[str]]) -> None:
    url = urls[Fault.MOVED_TWICE][0]
    address = Address.of(url)
    for _ in range(2):
        response, _body = get(server, url)
        url = response.headers["Location"]
        assert Address.of(url).host != address.host
    picture = server.picture_at(address)
    assert get(server, url)[1] == web_picture(picture.style, picture.depicted, picture.seed)


def test_nothing_moved_that_did_not_move(server: SampleWebServer, urls: dict[Fault, list[str]]) -> None:
    origin = Address.of(urls[Fault.NONE][0])
    label = origin.host.partition(".")[0]
    for start in ("moved", "moving", "back"):
        assert get(server, f"http://static.web.sample.invalid/{start}/{label}{origin.path}")[0].status == 404


def test_type_is_true_on_all_hosts_but_one(server: SampleWebServer, urls: dict[Fault, list[str]]) -> None:
    for url in urls[Fault.NONE][:25]:
        response, body = get(server, url)
        claimed = response.headers["Content-Type"]
        true = Image.MIME[Image.open(io.BytesIO(body)).format]
        assert claimed == ("application/octet-stream" if urlsplit(url).hostname == VAGUE_HOST else true)


def test_robots_txt(server: SampleWebServer) -> None:
    statuses = {host: get(server, f"http://{host}/robots.txt")[0].status for host in ALL_HOSTS if host != REFUSING_HOST}
    missing = {host for host, status in statuses.items() if status == 404}
    assert {host for host in missing if host.endswith(".web.sample.invalid")} == {
        "photos.web.sample.invalid",
        "cdn2.web.sample.invalid",
    }
    assert set(statuses.values()) == {200, 404}
    assert b"Disallow: /7" in get(server, "http://shop.web.sample.invalid/robots.txt")[1]


def test_one_host_refuses_connections(server: SampleWebServer, parts: list[Part]) -> None:
    urls = [row["URL"] for row in parts[0].rows if row["URL"] and REFUSING_HOST in row["URL"]]
    assert server.expected_outcome(urls[0]) == "connect"
    with pytest.raises(ConnectionRefusedError):
        get(server, urls[0])


def test_disallowed_addresses_are_known_as_such(server: SampleWebServer, parts: list[Part]) -> None:
    urls = [row["URL"] for row in parts[0].rows if row["URL"] and "//shop.web.sample.invalid/7" in row["URL"]]
    assert [server.expected_outcome(url) for url in urls] == ["opted_out"] * len(urls)
    assert fetched(server, urls[0]) == "opted_out"


def test_tiny_pictures_are_known_as_such(server: SampleWebServer, parts: list[Part]) -> None:
    urls = {
        row["URL"]
        for part in parts
        for row, truth in zip(part.rows, part.truth, strict=True)
        if row["URL"] and truth["style"] != "dead" and is_tiny(truth["style"], truth["picture_seed"])
    }
    known = {url for url in urls if server.expected_outcome(url) == "too_small"}
    assert len(known) > 0.7 * len(urls), "faults of the address come first"
    for url in sorted(known)[:3]:
        assert fetched(server, url) == "too_small"


def test_unknown_paths_and_hosts(server: SampleWebServer) -> None:
    assert get(server, "http://images.web.sample.invalid/00/nothing.jpg")[0].status == 404
    assert server.expected_outcome("http://images.web.sample.invalid/00/nothing.jpg") == "http_404"
    with pytest.raises(ValueError, match="example"):
        server.expected_outcome("http://www.example.com/a.jpg")
    connection = http.client.HTTPConnection(*server.hosts()[SLOW_HOST], timeout=10)
    connection.request("GET", "/00/a.jpg", headers={"Host": "www.example.com"})
    assert connection.getresponse().status == 421
    connection.close()


def test_a_connection_serves_many_requests(server: SampleWebServer, urls: dict[Fault, list[str]]) -> None:
    url = urlsplit(next(url for url in urls[Fault.NONE] if "//photos.web" in url))
    connection = http.client.HTTPConnection(*server.hosts()[url.hostname], timeout=10)
    bodies = set()
    for _ in range(3):
        connection.request("GET", url.path, headers={"Host": url.netloc})
        bodies.add(connection.getresponse().read())
        sock = connection.sock
        assert sock is not None, "the server keeps the connection"
    connection.close()
    assert len(bodies) == 1


def test_pictures_are_kept_where_a_cache_is_given(
    tmp_path: Path, web_folder: Path, urls: dict[Fault, list[str]]
) -> None:
    url = urls[Fault.NONE][0]
    with SampleWebServer(web_folder, cache=tmp_path) as server:
        body = get(server, url)[1]
        (kept,) = (path for path in tmp_path.rglob("*") if path.is_file())
        assert kept.read_bytes() == body
        kept.write_bytes(body + b"kept")
        assert get(server, url)[1] == body + b"kept"


def test_nothing_listens_afterwards(web_folder: Path, urls: dict[Fault, list[str]]) -> None:
    with SampleWebServer(web_folder) as server:
        hosts = server.hosts()
        ip, port = hosts[SLOW_HOST]
        idle = http.client.HTTPConnection(ip, port, timeout=10)
        idle.request("GET", "/", headers={"Host": SLOW_HOST})
        assert idle.getresponse().status == 200
    assert {ip for ip, _ in hosts.values()} == {"127.0.0.1"}
    with pytest.raises((http.client.HTTPException, OSError)):
        idle.request("GET", "/", headers={"Host": SLOW_HOST})
        idle.getresponse()
    with pytest.raises(ConnectionRefusedError):
        http.client.HTTPConnection(ip, port, timeout=10).request("GET", "/")


def test_a_folder_without_truth_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"holds no part .* sample_web_folder"):
        SampleWebServer(tmp_path)
    write_sample_part(tmp_path, 0, rows=100)
    truth_path(tmp_path, 0).unlink()
    with pytest.raises(UserError, match="holds no part"):
        SampleWebServer(tmp_path)


def test_a_part_that_does_not_fit_its_truth_is_refused(tmp_path: Path) -> None:
    write_sample_part(tmp_path, 0, rows=101)
    truth = truth_path(tmp_path, 0).read_bytes()
    write_sample_part(tmp_path, 0, rows=100)
    truth_path(tmp_path, 0).write_bytes(truth)
    with pytest.raises(UserError, match=r"100 rows, its truth .* has 101"):
        SampleWebServer(tmp_path)
