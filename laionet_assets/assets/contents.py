"""The pictures of a part's images and of local sets: which contents a table of results wants, and their bytes.

Belongs here: the two sources of pictures. Does not belong here: what is known of them already (`by_content`).
"""

import hashlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import partial

from laionet_assets.assets.images import open_store
from laionet_assets.assets.local_sets import open_local_set
from laionet_assets.assets.steps import Work
from laionet_assets.errors import UserError
from laionet_assets.images.sets import ImageItem
from laionet_assets.pictures.reading import Content
from laionet_assets.settings import Settings

WANTED = "wanted"
"""Temporary table: (sha256, profile), the pictures and the profiles that see them."""
PICTURES = "pictures"
"""Temporary table: the pictures themselves, by the key of the table that wants them."""
Reader = Callable[[Collection[str]], Iterator[tuple[str, Content]]]
"""From hashes to the contents, each once, in the order that is best to read them in."""


def want_part(settings: Settings, work: Work, pictures: str) -> Reader:
    """The contents of the part's images that `pictures` names (a SELECT of core.images). The mode tells which profiles
    may want one: RGB both, others corrected.
    """
    work.connection.execute(f"""
        create temp table {PICTURES} as
        select source, part, sha256, any_value(mode) as mode from ({pictures}) group by all
    """)
    work.connection.execute(f"""
        create temp table {WANTED} as
        select sha256, unnest(if(mode = 'RGB', ['paper', 'corrected'], ['corrected'])) as profile from {PICTURES}
    """)

    def contents(sha256s: Collection[str]) -> Iterator[tuple[str, Content]]:
        for sha256, found in open_store(settings, work.warehouse).contents(sha256s):
            if isinstance(found, bytes):
                yield sha256, found
            else:
                work.log(str(found))

    return contents


def want_sets(settings: Settings, work: Work) -> Reader:
    """Every content of the local sets, as the set's profile sees it."""
    work.connection.execute(f"""
        create temp table {PICTURES} as
        select
            image_set,
            image_id,
            sha256,
            error as not_read,
            if(profile = 'paper' and mode = 'RGB', 'paper', 'corrected') as profile,
        from core.set_images
    """)
    work.connection.execute(f"""
        create temp table {WANTED} as
        select distinct sha256, profile from {PICTURES} where sha256 is not null
    """)
    return partial(_set_contents, settings, work)


def _set_contents(settings: Settings, work: Work, sha256s: Collection[str]) -> Iterator[tuple[str, Content]]:
    """Each content from the first picture that has it, in the order of the sets."""
    work.connection.execute(
        "create or replace temp table asked as select unnest($1::varchar[]) as sha256", [list(sha256s)]
    )
    rows = work.connection.execute("""
        select image_set, image_id, sha256 from pictures semi join asked using (sha256)
        qualify row_number() over (partition by sha256 order by image_set, image_id) = 1
    """).fetchall()
    asked: dict[str, dict[str, str]] = {}
    for image_set, image_id, sha256 in rows:
        asked.setdefault(image_set, {})[image_id] = sha256
    for image_set in sorted(settings.image_sets, key=lambda one: one.name):
        if image_set.name in asked:
            try:
                opened = open_local_set(settings, image_set)
            except UserError as error:
                work.log(str(error))
                continue
            yield from _read_later(image_set.name, opened.iterate(), asked[image_set.name])


def _read_later(name: str, items: Iterable[ImageItem], asked: Mapping[str, str]) -> Iterator[tuple[str, Content]]:
    """The pictures asked for, each with a function that reads it. Raises UserError for one that is gone."""
    found = 0
    for item in items:
        if item.image_id in asked:
            found += 1
            yield asked[item.image_id], partial(_read_unchanged, name, item, asked[item.image_id])
    if found < len(asked):
        raise _changed(name, f"{len(asked) - found} pictures are gone")


def _read_unchanged(name: str, item: ImageItem, sha256: str) -> bytes:
    try:
        data = item.read()
    except OSError as error:
        raise _changed(name, f"{item.image_id} cannot be read any more ({error})") from error
    if hashlib.sha256(data).hexdigest() != sha256:
        raise _changed(name, f"{item.image_id} has another content")
    return data


def _changed(name: str, what: str) -> UserError:
    return UserError(f"image set {name}: {what}, since core.set_images was made. Run again: laionet run")
