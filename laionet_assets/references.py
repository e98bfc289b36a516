"""Secrets of filesystems: laionet.yaml names environment variables, `${NAME}`, and their values are read where a
filesystem is opened, and kept nowhere.

Definitions, the Dagster UI, logs and error messages see the settings; so a secret written out is refused.
"""

import os
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from laionet_assets.errors import UserError

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

_REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_SECRET_KEY = re.compile(
    r"(?i)secret|token|passw|credential|connection_string|account_key|api_?key|(^|_)sas(_|$)|^key$"
)
_NO_SECRETS = frozenset({"anon", "google_default", "cloud", "browser", "cache"})
"""Words that gcsfs takes as `token`."""
_PASSWORD_IN_URL = re.compile(r"://[^/@\s]*:[^/@\s]+@")


def opened(url: str, options: Mapping[str, Any]) -> "tuple[AbstractFileSystem, str]":
    """The fsspec filesystem of a path or URL, and the path inside it.

    Raises UserError for a filesystem that is unknown, not installed or cannot be opened (some connect, or read a file,
    when they are), and for an option that names an environment variable that is not set.
    """
    from fsspec.core import url_to_fs

    try:
        filesystem, inside = url_to_fs(url, **resolved(options, of=url))
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"{url}: this kind of path cannot be read: {error}") from None
    return filesystem, inside


def resolved(options: Mapping[str, Any], *, of: str) -> dict[str, Any]:
    """Options with the values of the environment variables that they name, at any depth.

    `of` says whose options they are. Raises UserError for a variable that is not set.
    """

    def value_of(match: re.Match[str]) -> str:
        value = os.environ.get(match[1])
        if value is None:
            raise UserError(f"storage_options of {of}: the environment variable {match[1]} is not set; set it")
        return value

    def resolve(item: Any) -> Any:
        if isinstance(item, str):
            return _REFERENCE.sub(value_of, item)
        if isinstance(item, Mapping):
            return {key: resolve(each) for key, each in item.items()}
        return [resolve(each) for each in item] if isinstance(item, list | tuple) else item

    return {key: resolve(item) for key, item in options.items()}


def without_secrets(options: dict[str, Any]) -> dict[str, Any]:
    """The options. Raises ValueError naming each secret that is written out, without its value."""
    found = [f"{path}: {_EXPECTED}" for path in sorted(_written_out(options, ""))]
    if found:
        raise ValueError("\n".join(found))
    return options


def url_without_password(url: str) -> str:
    """The URL or path. Raises ValueError if a password is written in it."""
    if _PASSWORD_IN_URL.search(url):
        raise ValueError(f"found a URL with a password in it; {_EXPECTED}")
    return url


def masked(text: str) -> str:
    """The text without the passwords of URLs in it."""
    return _PASSWORD_IN_URL.sub("://***@", text)


_EXPECTED = (
    "a secret may not be written out here, where definitions and the UI would show it; expected a reference such as "
    "${MY_SECRET} in storage_options, and the environment variable MY_SECRET"
)


def _written_out(options: Mapping[str, Any], path: str) -> Iterator[str]:
    for key, item in options.items():
        here = f"{path}.{key}" if path else str(key)
        if isinstance(item, Mapping):
            yield from _written_out(item, here)
        elif isinstance(item, str) and (
            (_SECRET_KEY.search(str(key)) and item not in _NO_SECRETS and not _REFERENCE.fullmatch(item))
            or _PASSWORD_IN_URL.search(item)
        ):
            yield here
