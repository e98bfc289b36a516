"""How the pictures of a source may be fetched: what the settings say, as rules of a harvest.

Belongs here: whether a source is asked at all, clearance of original LAION-400M rows, block lists, pictures that are
downloaded already, the server of the synthetic web. Does not belong here: how addresses are fetched (`images.fetch`),
and what becomes of each (`images.harvest`).
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import duckdb

from laionet_assets.assets.parts import sample_cache, source_paths
from laionet_assets.assets.steps import Work
from laionet_assets.errors import UserError
from laionet_assets.images.downloaded import Downloaded, open_folders
from laionet_assets.images.fetch.blocklist import read_blocklist
from laionet_assets.images.fetch.policy import ALLOWED_PORTS, FetchPolicy, FetchPolicyError
from laionet_assets.images.removals import Removals
from laionet_assets.images.rules import Refusal, Rules
from laionet_assets.settings import Settings, SettingsError, SourceSettings
from laionet_assets.sources import AUTO, discover
from laionet_assets.warehouse.sql import identifier, literal, literals
from laionet_assets.warehouse.table import PartKey
from laionet_assets.warehouse.warehouse import Warehouse, digest

SAMPLE_SCHEME = "sample://"
SAMPLE_CONTACT = "mailto:synthetic@web.sample.invalid"
"""Who asks the synthetic web: nobody but its own server reads it."""
SAMPLE_PER_HOST = 32
SAMPLE_BACKOFF_SECONDS = 0.1
LAION_400M = "laion400m"

NOT_ENABLED = Refusal(
    "not_enabled",
    "fetching is not enabled: set images.fetch.enabled and images.fetch.contact in laionet.yaml, then run again",
    is_of_requests=True,
)
NEEDS_CLEARANCE = Refusal(
    "not_cleared",
    "original LAION-400M rows need a Re-LAION list: set images.fetch.cleared_by, or override it by "
    "images.fetch.uncleared",
)
NOT_ON_THE_LIST = Refusal("not_cleared", "not among the addresses of images.fetch.cleared_by")


@dataclass(frozen=True)
class _Listed:
    """Addresses asked for and, of them, those in a list, as the list was in some state."""

    state: str
    asked: frozenset[str]
    cleared: frozenset[str]


class Fetching:
    """The settings of fetching, by source. Raises SettingsError if the fetcher cannot stand them."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._fetch = settings.images.fetch
        self._sources = {source.name: source for source in settings.sources}
        self._listed = _Listed("", frozenset(), frozenset())
        self._downloaded = [Path(settings.resolve(path)) for path in settings.images.downloaded]
        try:
            self._limits = self._policy(is_sample=not self._fetch.enabled)
        except FetchPolicyError as error:
            raise SettingsError(f"{settings.config_path}: images.fetch: {error}") from None

    @property
    def limits(self) -> FetchPolicy:
        """The policy by the settings, for its limits."""
        return self._limits

    def applies_to(self, source: str) -> bool:
        """Whether pictures of this source are fetched at all."""
        return source in self._sources and (self._is_sample(source) or self._fetch.enabled)

    def takes_over(self, source: str) -> bool:
        """Whether pictures of this source are looked for among those that are downloaded already."""
        return source in self._sources and bool(self._downloaded)

    def outside(self, source: str) -> str:
        """Digest of what results depend on besides the samples asked for: settings and lists, by content."""
        fetch = self._fetch
        blocked = [repr(sorted(hashes)) for hashes in self._block_lists()]
        at_hand = [f"{folder.path} {folder.fingerprint()}" for folder in open_folders(self._downloaded)]
        settings = [fetch.max_bytes, fetch.max_pixels, fetch.robots, fetch.allowed_private, self._settings.images.quota]
        if self._is_sample(source):
            return digest("sample", repr(settings), *blocked, *at_hand)
        web = [fetch.enabled, sorted(fetch.allow_hosts.items()), fetch.uncleared]
        web += [fetch.allowed_ports] if fetch.allowed_ports != ALLOWED_PORTS else []
        cleared_by = repr(self._cleared_by_signatures()) if fetch.enabled or at_hand else ""
        return digest("web", repr(settings), repr(web), cleared_by, *blocked, *at_hand)

    def rules(self, work: Work, part: PartKey, removals: Removals) -> Rules:
        """The rules for a part. `work` has core.image_requests of the part."""
        is_sample = self._is_sample(part.source)
        refuse, is_uncleared = (_nothing, False) if is_sample else self._refusal(work, part)
        blocked_urls, blocked_contents = self._block_lists()
        rules = Rules(
            policy=self._policy(is_sample=is_sample) if is_sample or self._fetch.enabled else None,
            refuse=refuse,
            removals=removals,
            blocked_urls=blocked_urls,
            blocked_contents=blocked_contents,
            is_uncleared=is_uncleared,
            downloaded=self._at_hand(work.warehouse) if self._downloaded else None,
        )
        return replace(rules, serve=partial(self._serve_sample, part.source)) if is_sample else rules

    def _at_hand(self, warehouse: Warehouse) -> Downloaded:
        return Downloaded.of_folders(
            open_folders(self._downloaded),
            self._limits,
            place=warehouse.scratch / "downloaded",
            connect=warehouse.connect,
        )

    def _is_sample(self, source: str) -> bool:
        found = self._sources.get(source)
        return found is not None and any(path.startswith(SAMPLE_SCHEME) for path in found.paths)

    def _policy(self, *, is_sample: bool) -> FetchPolicy:
        fetch = self._fetch
        policy = FetchPolicy(
            contact=SAMPLE_CONTACT if is_sample else fetch.contact or "",
            concurrency=fetch.concurrency,
            per_host=fetch.per_host,
            min_interval=fetch.min_interval,
            total_timeout=fetch.total_timeout,
            max_bytes=int(fetch.max_bytes),
            max_pixels=fetch.max_pixels,
            retries=fetch.retries,
            robots=fetch.robots,
            allowed_private=fetch.allowed_private,
            allowed_ports=fetch.allowed_ports,
            allow_hosts=fetch.allow_hosts,
        )
        if not is_sample:
            return policy
        # a host that refuses is asked for every address, so that attempts do not depend on who came first
        return replace(
            policy,
            per_host=SAMPLE_PER_HOST,
            min_interval=0,
            backoff_base=SAMPLE_BACKOFF_SECONDS,
            host_failures=0,
            host_refusals=0,
        )

    def _refusal(self, work: Work, part: PartKey) -> tuple[Callable[[str], Refusal | None], bool]:
        """Why an address is not asked, and whether those that are asked are so by the override.

        Clearance comes first where pictures are at hand: what needs it is not taken over without it either.
        """
        fetch = self._fetch
        allowed = None if fetch.enabled else NOT_ENABLED
        if not (fetch.enabled or self._downloaded) or _adapter_of(work, part) != LAION_400M:
            return lambda url: allowed, False
        if fetch.uncleared:
            done = "fetched" if fetch.enabled else "taken over"
            work.log(f"{part.key}: original LAION-400M rows are {done} by the override images.fetch.uncleared")
            return lambda url: allowed, True
        if fetch.cleared_by is None:
            return lambda url: NEEDS_CLEARANCE, False
        cleared = self._cleared(work, part, self._settings.resolve(fetch.cleared_by))
        return lambda url: allowed if url in cleared else NOT_ON_THE_LIST, False

    def _cleared(self, work: Work, part: PartKey, path: str) -> frozenset[str]:
        """Addresses in the list, of those that the part asks for; of the parts that are made with it they are looked
        for in the list at once. Raises UserError if it cannot be read.
        """
        state = repr(self._cleared_by_signatures())
        wanted = _asked(work, [part])
        if state != self._listed.state or not wanted <= self._listed.asked:
            asked = wanted | _asked(work, work.together)
            self._listed = _Listed(state, asked, _listed(work.connection, asked, path))
        return self._listed.cleared & wanted

    def _block_lists(self) -> tuple[frozenset[str], frozenset[str]]:
        paths = (self._fetch.blocked_urls, self._fetch.blocked_contents)
        urls, contents = (
            read_blocklist(Path(self._settings.resolve(path))) if path is not None else frozenset() for path in paths
        )
        return urls, contents

    def _cleared_by_signatures(self) -> list[tuple[str, str]]:
        if self._fetch.cleared_by is None or self._fetch.uncleared:
            return []
        path = self._settings.resolve(self._fetch.cleared_by)
        return [(file.path, file.signature) for file in discover("images.fetch.cleared_by", AUTO, path).files]

    @contextmanager
    def _serve_sample(self, source: str, policy: FetchPolicy) -> Iterator[FetchPolicy]:
        """Serve the synthetic web on loopback, and send the requests for its hosts there."""
        from laionet_assets.sample.server import SampleWebServer

        settings: SourceSettings = self._sources[source]
        (folder,) = map(Path, source_paths(self._settings, settings))
        with SampleWebServer(folder, cache=sample_cache(self._settings) / "pictures") as server:
            yield replace(policy, allow_hosts={host: f"{ip}:{port}" for host, (ip, port) in server.hosts().items()})


def _nothing(url: str) -> Refusal | None:
    return None


def _adapter_of(work: Work, part: PartKey) -> str:
    """The format of the part's file. Read past the declared inputs: a part whose file is gone is still refreshed."""
    rows = work.connection.execute(f"select adapter from ({work.warehouse.select('raw.parts', part)})").fetchall()
    return str(rows[0][0])


def _asked(work: Work, parts: Sequence[PartKey]) -> frozenset[str]:
    """Addresses that these parts ask for."""
    table = work.warehouse.table("core.image_requests")
    files = [work.warehouse.lake.current(table, part) for part in parts]
    if not files:
        return frozenset()
    select = (
        f"select distinct url from read_parquet({literals(files)}, hive_partitioning = false) where url is not null"
    )
    return frozenset(url for (url,) in work.connection.execute(select).fetchall())


def _listed(connection: duckdb.DuckDBPyConnection, asked: Collection[str], path: str) -> frozenset[str]:
    """Of the addresses asked for, those in the list. Raises UserError if it cannot be read."""
    import pyarrow as pa

    listed = f"read_parquet({literal(path if not Path(path).is_dir() else f'{path}/*.parquet')})"
    try:
        names = [row[0] for row in connection.execute(f"describe select * from {listed}").fetchall()]
        columns = [name for name in names if name.lower() == "url"]
        if len(columns) != 1:
            raise UserError(
                f"images.fetch.cleared_by: {path} has the columns {', '.join(names)}; expected one called url"
            )
        connection.register("clearance_asked", pa.table({"url": pa.array(sorted(asked), pa.string())}))
        rows = connection.execute(
            "select url from clearance_asked "
            f"semi join (select {identifier(columns[0])} as url from {listed}) using (url)"
        ).fetchall()
    except (duckdb.IOException, duckdb.InvalidInputException) as error:
        raise UserError(
            f"images.fetch.cleared_by: {path}: {str(error).splitlines()[0]}; expected Parquet files with a column url"
        ) from None
    finally:
        connection.unregister("clearance_asked")
    return frozenset(row[0] for row in rows)
