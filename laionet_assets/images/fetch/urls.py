"""URLs: which ones may be asked, and the very characters that are sent.

Belongs here: reading a URL strictly, following a redirect's Location. Does not belong here: network addresses
(`address`), robots rules, block lists.

A URL is asked for as it was published. Servers compare and sign paths letter by letter, so nothing is decoded, encoded
again or resolved; what may not stand in a URL (spaces, letters beyond ASCII, ...) is quoted, and nothing else. The host
name alone is made canonical: limits are counted by it.
"""

import ipaddress
import re
from functools import lru_cache
from urllib.parse import quote, urljoin

from yarl import URL

_MAX_URL_CHARACTERS = 8_192
_HOST_NAME = re.compile(r"[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?\.?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_TARGET = re.compile(r"[^:/?#]+://[^/?#]*([^#]*)")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_LEGAL = "-._~:/?[]@!$&'()*+,;=%"
"""Besides letters and digits (RFC 3986); a percent sign is never quoted again."""


class BadUrl(ValueError):
    """Not a URL that can be fetched. The message does not repeat the URL."""


def parse_url(text: str, *, base: URL | None = None) -> URL:
    """A URL to fetch: http or https, a host, no credentials; path and query as they stand, without fragment.

    `base`: the URL that a relative one (a redirect's Location) is relative to. Raises BadUrl.
    """
    text = text.strip()
    if len(text) > _MAX_URL_CHARACTERS:
        raise BadUrl(f"longer than {_MAX_URL_CHARACTERS} characters")
    if _CONTROL.search(text):
        raise BadUrl("control characters")
    try:
        text = text if base is None else _joined(base, text)
        url = URL(text)
        host, port = url.raw_host, url.port
    except (ValueError, UnicodeError):
        raise BadUrl("not a URL") from None
    if url.scheme not in ("http", "https"):
        raise BadUrl("neither http nor https")
    if url.user is not None or url.password is not None:
        raise BadUrl("credentials in the URL")
    if not host or not port or not (is_literal(host) or _is_name(host)):
        raise BadUrl("no valid host and port")
    found = _TARGET.match(text)
    target = _quoted(found[1]) if found is not None else ""
    authority = f"[{host}]" if ":" in host else host
    authority += f":{url.explicit_port}" if url.explicit_port is not None else ""
    # the query goes into the path, which is sent as it is: yarl would drop a question mark with nothing behind it
    target = target if target.startswith("/") else f"/{target}"
    return URL.build(scheme=url.scheme, authority=authority, path=target, encoded=True)


def host_of(url: URL) -> str:
    """The host name that limits are counted by: lower case, without a final dot."""
    return (url.raw_host or "").rstrip(".")


@lru_cache(maxsize=4_096)
def is_literal(host: str) -> bool:
    """Whether a host is an IP address."""
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


def _joined(base: URL, reference: str) -> str:
    """A reference made absolute; one with a path from the root keeps it as it stands."""
    if _SCHEME.match(reference):
        return reference
    if reference.startswith("//"):
        return f"{base.scheme}:{reference}"
    if reference.startswith("/"):
        return f"{base.scheme}://{base.raw_authority}{reference}"
    return urljoin(str(base), reference)


def _quoted(target: str) -> str:
    """Path and query with what may not stand there in percent notation, as UTF-8.

    Bytes that a Location had and that are not UTF-8 (aiohttp hands them over as surrogates) stay those bytes.
    """
    try:
        return quote(target, safe=_LEGAL, errors="surrogateescape")
    except UnicodeEncodeError:
        return quote(target.encode(errors="ignore"), safe=_LEGAL)


def _is_name(host: str) -> bool:
    """Whether a host is a name; one that ends in a number is an IPv4 address in an odd notation (127.1, 0x7f.1)."""
    return bool(_HOST_NAME.fullmatch(host)) and not _NUMBER.fullmatch(host.rstrip(".").rpartition(".")[2])
