"""Stage fetching: pictures from nginx on loopback, hashed, verified and stored, beside img2dataset on the same server."""

import asyncio
import io
import os
import socket
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.bench.measure import Cost, apart, cheapest, cost_of, run_command, since_start, stopwatch
from tests.bench.options import Options
from tests.bench.report import Section, Table, Target, number, times
from tests.bench.webserver import HOST, MISSING, find_nginx, serving

TITLE = "Fetching pictures"
ROOT = Path(__file__).resolve().parents[2]
IMG2DATASET = ROOT / ".venv-bench" / "bin" / "img2dataset"
PROCESSES, THREADS, SHARD_PICTURES = 2, 32, 500
PER_HOST = 64
HOSTS = 600
WIDTH, HEIGHT, QUALITY, GRAIN = 341, 256, 85, 11.0
ROBOTS = "User-agent: *\nDisallow: /private/\n"
AS_IT_COMES, SAME_WORK = "decoded, written again", "decoded, bytes kept"
KINDS: Mapping[str, Sequence[str]] = {
    AS_IT_COMES: (),
    SAME_WORK: ("--skip_reencode", "True"),
    "not decoded": ("--disable_all_reencoding", "True"),
}
"""What img2dataset may do with a picture that is not resized, and the options that make it."""


@dataclass(frozen=True)
class Fetched:
    """A fetch of all pictures: what it cost, what of that is the start of its processes (interpreter, imports), and
    pictures and bytes stored.
    """

    whole: Cost
    start: Cost
    pictures: int
    size_bytes: int

    @property
    def cost(self) -> Cost:
        """From the first request to the last byte stored."""
        return self.whole - self.start


def fetching(options: Options) -> Section:
    """Our fetcher and store, img2dataset, and bare readers, one after the other on the same server."""
    missing = missing_parts(find_nginx(), IMG2DATASET)
    if missing:
        return Section(title=TITLE, body=[f"Not run: {'; '.join(missing)}."])
    pictures = 300 if options.quick else 6_000
    repeats = 1 if options.quick else 2
    folder = options.folder / "fetching"
    root = folder / "web"
    size_bytes = draw_pictures(root, pictures)
    names = picture_names(pictures)
    with serving(root, folder / "nginx") as server:
        urls = [server.url(name) for name in names]
        spread = [server.url(name, host=f"host{i % HOSTS}.bench.test") for i, name in enumerate(names)]
        ours: dict[str, list[Fetched]] = {"one host": [], f"{HOSTS} hosts": []}
        bare: dict[str, list[Cost]] = {"sockets": [], "aiohttp": []}
        theirs: dict[str, list[Fetched]] = {kind: [] for kind in KINDS}
        started: list[Cost] = []
        for i in range(repeats):
            for what, asked in zip(ours, (urls, spread), strict=True):
                store = folder / "store" / f"{what} {i}"
                ours[what].append(apart(fetch_and_store, store, asked, server.port).value)
            for kind in KINDS if i == 0 else (AS_IT_COMES, SAME_WORK):
                theirs[kind].append(img2dataset(folder / "img2dataset" / f"{kind} {i}", urls, KINDS[kind]))
            started.append(img2dataset(folder / "img2dataset" / f"start {i}", urls[:1], KINDS[SAME_WORK]).whole)
            bare["sockets"].append(apart(read_by_sockets, server.port, names, size_bytes).value)
            bare["aiohttp"].append(apart(read_by_aiohttp, urls, size_bytes).value)
        version = server.version
    checked = cheapest([apart(verify_alone, root).value for _ in range(repeats)])
    start = Cost() if options.quick else cheapest(started)  # a quick run is shorter than what a start varies by
    fetched = {f"ours, {what}": _cheapest(each) for what, each in ours.items()} | {
        f"img2dataset, {kind}": replace(_cheapest(each), start=start) for kind, each in theirs.items()
    }
    for what, each in fetched.items():
        if each.pictures != pictures:
            raise RuntimeError(f"{what}: {each.pictures} of {pictures} pictures were stored")
    own, same_work, as_it_comes = (
        fetched[what] for what in ("ours, one host", f"img2dataset, {SAME_WORK}", f"img2dataset, {AS_IT_COMES}")
    )
    floor = cheapest(bare["sockets"])
    same_ratio = same_work.cost.cpu_seconds / own.cost.cpu_seconds
    own_wall = _fastest(ours["one host"]).cost.wall_seconds
    wall_ratio = (_fastest(theirs[SAME_WORK]).whole - start).wall_seconds / own_wall
    whole_ratio = as_it_comes.whole.cpu_seconds / own.whole.cpu_seconds

    def line(what: str, cost: Cost, whole: Cost | None = None) -> tuple[str, ...]:
        return (
            what,
            number(pictures / whole.wall_seconds) if whole else "",
            number(pictures / whole.cpu_seconds) if whole else "",
            number(pictures / cost.wall_seconds),
            number(pictures / cost.cpu_seconds),
            times(same_work.cost.cpu_seconds / cost.cpu_seconds),
            times(cost.cpu_seconds / floor.cpu_seconds),
        )

    return Section(
        title=TITLE,
        body=[
            f"{pictures:,} JPEGs, {size_bytes / pictures / 1000:.1f} kB each on average, {WIDTH} x {HEIGHT}, drawn (seeded) and all"
            f" different, served by nginx {version} (one worker, not counted) on loopback. Measured: `images.fetch` into"
            " an image store, from the first request to the commit: robots.txt asked, X-Robots-Tag looked at, the type"
            " read off the bytes, sha256, every coded byte decoded, perceptual hash, bytes in a shard and the outcome in"
            f" the journal; {PER_HOST} requests at a host, no rest between them. Beside it the command `img2dataset` (1.47,"
            f" {PROCESSES} processes x {THREADS} threads, no resize, webdataset output, {SHARD_PICTURES} pictures a shard); it"
            f" asks no robots.txt, computes sha256 alone, and opens a connection a picture. The ways take turns; best of"
            f" {repeats} by cpu-s (the target of pictures a second: by wall seconds). Server, loop and the processes that"
            f" decode share {len(os.sched_getaffinity(0))} cores here.\n\n"
            "* The columns *whole* are of whole processes, from start to end, as a user has them. The others are without the"
            f" start (interpreter, imports, processes): of img2dataset {number(start.cpu_seconds)} cpu-s,"
            f" {number(start.wall_seconds)} s, measured as the same command on one picture; of ours"
            f" {number(own.start.cpu_seconds)} cpu-s, {number(own.start.wall_seconds)} s.\n"
            f"* *{AS_IT_COMES}* is img2dataset as it comes: it decodes every picture and encodes it anew. *{SAME_WORK}*"
            " (`skip_reencode`) is the same work as ours, and what the ratio is to. *not decoded* verifies nothing (once).\n"
            f"* *{HOSTS} hosts*: the same pictures at {HOSTS} host names, so that robots.txt is asked {HOSTS} times and a"
            f" connection serves {pictures // HOSTS or 1} pictures at most.\n"
            "* Floor: plain sockets that keep their connections read every byte of every answer and do nothing with it.",
            Table(
                (
                    "way",
                    "whole: pictures a second",
                    "whole: pictures per cpu-s",
                    "pictures a second",
                    "pictures per cpu-s",
                    "img2dataset / this, cpu-s",
                    "x floor",
                ),
                [
                    *(line(what, each.cost, each.whole) for what, each in fetched.items()),
                    line("sha256, decode, perceptual hash, from memory", checked),
                    line("bare reader, aiohttp", cheapest(bare["aiohttp"])),
                    line("floor: bare reader, sockets", floor),
                ],
            ),
        ],
        targets=[
            Target(
                "fetching, whole processes, pictures per cpu-s, against img2dataset as it comes",
                ">= 1 x, aim 2 x",
                f"{times(whole_ratio)} ({number(pictures / own.whole.cpu_seconds)} per cpu-s)",
                whole_ratio >= 1,
            ),
            Target(
                "fetching, the same work without start, pictures per cpu-s, against img2dataset",
                ">= 1 x, aim 2 x",
                f"{times(same_ratio)} ({number(pictures / own.cost.cpu_seconds)} per cpu-s)",
                same_ratio >= 1,
            ),
            Target(
                "fetching, the same work without start, pictures a second, against img2dataset",
                ">= 1 x",
                f"{times(wall_ratio)} ({number(pictures / own_wall)} a second)",
                wall_ratio >= 1,
            ),
        ]
        if not options.quick
        else [],
    )


def missing_parts(nginx: Path | None, img2dataset: Path) -> list[str]:
    """What the stage cannot do without and does not have, one reason each."""
    reasons = [] if nginx else [MISSING]
    if not img2dataset.is_file():
        reasons.append(f"no {img2dataset} (`make bench` installs img2dataset into a venv of its own)")
    return reasons


def picture_names(pictures: int) -> list[str]:
    """Files under the web root, in folders of a thousand."""
    return [f"{i // 1000}/{i:06d}.jpg" for i in range(pictures)]


def draw_pictures(root: Path, pictures: int) -> int:
    """Draw the web: pictures and a robots.txt that allows them. Returns the bytes of all pictures."""
    names = picture_names(pictures)
    for folder in {Path(name).parent for name in names}:
        (root / folder).mkdir(parents=True)
    (root / "robots.txt").write_text(ROBOTS, encoding="utf-8")
    with ProcessPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        paths = [root / name for name in names]
        return sum(pool.map(_draw, paths, range(pictures), chunksize=50))


def drawn_jpeg(seed: int) -> bytes:
    """A JPEG of about 25 kB: clouds, discs and the grain of film. The same seed gives the same bytes."""
    import numpy as np
    from PIL import Image, ImageDraw

    rng = np.random.default_rng(seed)
    pixels = np.full((HEIGHT, WIDTH, 3), 128, np.float32)
    for side, amplitude in ((4, 60), (16, 30), (50, 18)):
        noise = rng.normal(0, amplitude, (3, side, side)).astype(np.float32)
        for channel in range(3):
            cloud = Image.fromarray(noise[channel]).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)
            pixels[..., channel] += np.asarray(cloud)
    pixels += rng.normal(0, GRAIN, (HEIGHT, WIDTH, 1)).astype(np.float32)
    image = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(image)
    for _ in range(6):
        x, y, radius = int(rng.integers(WIDTH)), int(rng.integers(HEIGHT)), int(rng.integers(10, 80))
        colour = tuple(int(value) for value in rng.integers(0, 256, 3))
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)
    out = io.BytesIO()
    image.save(out, "JPEG", quality=QUALITY)
    return out.getvalue()


def fetch_and_store(folder: Path, urls: Sequence[str], port: int) -> Fetched:
    """Fetch the pictures into an image store of their own. Raises RuntimeError with the outcomes if one fails."""
    from laionet_assets.images.fetch.outcomes import FetchOutcome, FetchRequest, Status
    from laionet_assets.images.fetch.policy import FetchPolicy
    from laionet_assets.images.fetch.run import fetch
    from laionet_assets.images.store import ImageStore
    from laionet_assets.pictures.inspection import inspect
    from laionet_assets.warehouse.table import PartKey

    inspect(drawn_jpeg(0), min_pixels=1, max_pixels=1_000_000)  # Pillow's decoders are imported by their first picture
    policy = FetchPolicy(
        contact="mailto:bench@example.org",
        per_host=PER_HOST,
        min_interval=0,
        allowed_private=("127.0.0.0/8",),
        allowed_ports=(port,),
        allow_hosts={"*.bench.test": f"{HOST}:{port}"},
    )
    store = ImageStore(str(folder))
    statuses: Counter[str] = Counter()
    start = since_start()
    with stopwatch() as cost, store.writer(PartKey("bench", "part-00000")) as writer:

        def keep(outcome: FetchOutcome, body: bytes) -> None:
            writer.add(body, "jpg", {"width": outcome.width, "height": outcome.height, "mode": outcome.mode})
            writer.record(journal_row(outcome))

        for outcome in fetch([FetchRequest(i, url) for i, url in enumerate(urls)], policy, sink=keep):
            statuses[outcome.error_class or outcome.status] += 1
        committed = writer.commit()
    if statuses != {Status.SUCCESS: len(urls)}:
        raise RuntimeError(f"not every picture was fetched: {dict(statuses)}")
    return Fetched(start + cost, start, committed.images, committed.size_bytes)


def journal_row(outcome: Any) -> dict[str, Any]:
    """An outcome as a line of the journal has it: times as text."""
    row = {name: getattr(outcome, name) for name in outcome.__slots__}
    return row | {name: value.isoformat() for name, value in row.items() if isinstance(value, datetime)}


def img2dataset(folder: Path, urls: Sequence[str], options: Sequence[str]) -> Fetched:
    """Run img2dataset's command on these addresses. Raises RuntimeError with its output if it fails."""
    folder.mkdir(parents=True)
    listed, log = folder / "urls.txt", folder / "img2dataset.log"
    listed.write_text("\n".join(urls) + "\n", encoding="utf-8")
    command = [
        str(IMG2DATASET), "--url_list", str(listed), "--input_format", "txt", "--output_folder", str(folder / "out"),
        "--output_format", "webdataset", "--resize_mode", "no", "--processes_count", str(PROCESSES),
        "--thread_count", str(THREADS), "--number_sample_per_shard", str(SHARD_PICTURES), *options,
    ]  # fmt: skip
    finished = run_command(command, cwd=folder, environment={"NO_ALBUMENTATIONS_UPDATE": "1"}, log=log)
    if finished.exit_code != 0:
        raise RuntimeError(f"img2dataset: exit code {finished.exit_code}\n{log.read_text()[-4000:]}")
    pictures, size_bytes = stored_pictures(folder / "out")
    return Fetched(finished.cost, Cost(), pictures, size_bytes)


def stored_pictures(folder: Path) -> tuple[int, int]:
    """Pictures in the tar files of a folder, and their bytes."""
    import tarfile

    sizes = []
    for path in sorted(folder.glob("*.tar")):
        with tarfile.open(path) as shard:
            sizes += [member.size for member in shard if member.name.endswith(".jpg")]
    return len(sizes), sum(sizes)


def verify_alone(root: Path) -> Cost:
    """What a picture takes once its bytes are there: sha256, decode and perceptual hash, two threads."""
    import hashlib
    from concurrent.futures import ThreadPoolExecutor

    from laionet_assets.pictures.inspection import inspect

    bodies = [path.read_bytes() for path in sorted(root.rglob("*.jpg"))]

    def verify(body: bytes) -> None:
        hashlib.sha256(body).hexdigest()
        if inspect(body, min_pixels=100, max_pixels=64_000_000).error is not None:
            raise RuntimeError("a drawn picture does not verify")

    verify(bodies[0])
    with ThreadPoolExecutor(2) as pool:
        return cost_of(lambda: list(pool.map(verify, bodies)))


def read_by_aiohttp(urls: Sequence[str], size_bytes: int) -> Cost:
    """Read every answer by aiohttp, as many at once as our fetcher, and forget it."""
    import aiohttp

    async def read_all() -> int:
        left = iter(urls)
        read = 0

        async def reader(session: aiohttp.ClientSession) -> None:
            nonlocal read
            for url in left:
                async with session.get(url) as response:
                    response.raise_for_status()
                    read += len(await response.read())

        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar()) as session:
            await asyncio.gather(*(reader(session) for _ in range(PER_HOST)))
        return read

    with stopwatch() as cost:
        read = asyncio.run(read_all())
    _expect(read, size_bytes)
    return cost


def read_by_sockets(port: int, names: Sequence[str], size_bytes: int) -> Cost:
    """Read every answer by two plain sockets in turn, pipelining nothing, and forget it."""
    buffer = bytearray(2**20)
    read = 0
    with stopwatch() as cost:
        connections = [socket.create_connection((HOST, port)) for _ in range(2)]
        for start in range(0, len(names), len(connections)):
            asked = list(zip(connections, names[start : start + len(connections)], strict=False))
            for connection, name in asked:
                connection.sendall(f"GET /{name} HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
            for connection, _ in asked:
                read += read_answer(connection, buffer)
        for connection in connections:
            connection.close()
    _expect(read, size_bytes)
    return cost


def read_answer(connection: socket.socket, buffer: bytearray) -> int:
    """Read one HTTP answer that declares its length; the bytes of its body. Raises RuntimeError for another answer."""
    view = memoryview(buffer)
    held = 0
    while (end := buffer.find(b"\r\n\r\n", 0, held)) < 0:
        held += _received(connection, view[held:])
    status, *lines = bytes(buffer[:end]).decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    if status.split()[1] != "200" or "content-length" not in headers:
        raise RuntimeError(f"found the answer {status!r}, expected 200 with a length")
    length = int(headers["content-length"])
    left = length - (held - end - 4)
    while left > 0:
        left -= _received(connection, view[: min(left, len(view))])
    return length


def _received(connection: socket.socket, view: memoryview) -> int:
    received = connection.recv_into(view)
    if not received:
        raise RuntimeError("the connection was closed in the middle of an answer, or the answer's head is too long")
    return received


def _expect(read: int, size_bytes: int) -> None:
    if read != size_bytes:
        raise RuntimeError(f"read {read:,} bytes, expected {size_bytes:,}")


def _draw(path: Path, seed: int) -> int:
    data = drawn_jpeg(seed)
    path.write_bytes(data)
    return len(data)


def _cheapest(fetched: Sequence[Fetched]) -> Fetched:
    return min(fetched, key=lambda each: each.whole.cpu_seconds)


def _fastest(fetched: Sequence[Fetched]) -> Fetched:
    return min(fetched, key=lambda each: each.whole.wall_seconds)
