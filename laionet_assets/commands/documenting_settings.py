"""`make docs`: the page of all keys of laionet.yaml, made from the classes of the settings.

Belongs here: the head of the page, examples of sections, and how a key is shown. Does not belong here: what a key is
(its description stands in `settings/`).
"""

import argparse
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ByteSize
from pydantic.fields import FieldInfo

from laionet_assets.commands.documenting import code, markdown_table, prose
from laionet_assets.settings import Settings
from laionet_assets.settings.words import Kind, keys_of, sections_of

MINIMAL = """\
sources:
  - {name: mine, path: ./captions/*.parquet}
text_encoders:
  - {name: minilm, model: "sentence-transformers:all-MiniLM-L6-v2"}
recipes:
  - {name: mine, encoder: minilm, text_threshold: 0.65}
"""
"""The least that a laionet.yaml holds."""

EXAMPLES: Mapping[str, str] = {
    "checks": """\
checks:
  core.candidates: {grain_is_unique: warning}
""",
    "sources[]": """\
sources:
  - {name: laion400m, adapter: laion400m, path: /data/laion400m-meta/*.parquet}
  - {name: mine, path: [./one.parquet, ./two.csv], columns: {caption: words, url: link}}
""",
    "images": """\
images:
  quota: 50GB
  removals: removals.csv
  fetch: {enabled: true, contact: you@example.org}
""",
    "images.fetch": """\
images:
  fetch:
    enabled: true
    contact: you@example.org
    allowed_private: [127.0.0.1/32]        # a list of networks: here, a server on this machine
    allow_hosts: {pictures.example.org: "127.0.0.1:8088"}
""",
    "refresh": """\
refresh: {enabled: true, interval_seconds: 60, nightly_cron: "*/15 3-5 * * *"}
""",
}
"""What is shown under the heading of a section, by its path."""

_HEAD = f"""\
<!-- Written by `make docs` from laionet_assets/settings: do not edit. -->

# Every key of laionet.yaml

The file is the one that `--config` names, else the one of the environment variable
`LAIONET_CONFIG`, else `laionet.yaml` in the working directory. Relative paths in it are relative to
its folder. A key that there is not, one that stands twice and a value of another type are errors,
all of them in one message.

An environment variable overrides a key of the file: `LAIONET_` and the key's path in capitals, two
underscores for each dot, such as `LAIONET_WAREHOUSE=/data/lake` or `LAIONET_DUCKDB__THREADS=8`.
Lists and mappings are written as JSON: `LAIONET_IMAGES__FETCH__ALLOWED_PRIVATE='["127.0.0.1/32"]'`.

The least that it holds:

```yaml
{MINIMAL}```

The [paper's setting](laionet.laion400m.yaml) has every choice commented. In the tables below `[]`
stands for each entry of a list. A name is of letters, digits, `_`, `-` and `.`, and begins with a
letter or digit.
"""


def settings_page(settings: type[BaseModel] = Settings) -> str:
    """The whole page: the keys at the top, then a section for each mapping, in the order of the file."""
    parts = [_HEAD.rstrip(), "## Top of the file", _keys("", settings)]
    for path, section in sections_of(settings):
        if path:
            parts += [f"## {code(path)}", prose(section.__doc__ or ""), *_example(path), _keys(path, section)]
    for path in EXAMPLES.keys() - {path for path, _ in sections_of(settings)}:
        parts += [f"## {code(path)}", prose(settings.model_fields[path].description or ""), *_example(path)]
    return "\n\n".join(parts) + "\n"


def _example(path: str) -> Iterator[str]:
    if path in EXAMPLES:
        yield _fenced(EXAMPLES[path])


def _fenced(text: str) -> str:
    return f"```yaml\n{text}```"


def _keys(path: str, section: type[BaseModel]) -> str:
    rows = []
    for name, field in keys_of(section).items():
        here = f"{path}.{name}" if path else name
        rows.append((code(here), _type(here, field), _default(field), prose(_description(here, field))))
    return markdown_table(("key", "type", "default", "description"), rows)


def _type(path: str, field: FieldInfo) -> str:
    kind = Kind.of(field)
    words = prose(re.sub(r" \([^)]*\)", "", kind.words()))  # the head of the page says what a name is
    if kind.section is not None:
        return f"[{words}](#{_anchor(path)})"
    if kind.item is not None and kind.item.section is not None:
        return f"[{words}](#{_anchor(f'{path}[]')})"
    return f"[{words}](#{_anchor(path)})" if path in EXAMPLES else words


def _anchor(path: str) -> str:
    """GitHub's anchor of a heading."""
    return "".join(letter for letter in path.lower() if letter.isalnum() or letter in "_-")


def _description(path: str, field: FieldInfo) -> str:
    """Raises ValueError of a key without a description: its section's says what it is, a value's must be written."""
    kind = Kind.of(field)
    section = kind.section or (kind.item.section if kind.item is not None else None)
    said = field.description or (section.__doc__ if section is not None else None)
    if not said:
        raise ValueError(f"{path} has no description: write one where the key is declared")
    return said


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value: Any = field.get_default(call_default_factory=True)
    return "as below" if isinstance(value, BaseModel) else code(_in_yaml(value))


def _in_yaml(value: Any) -> str:
    if isinstance(value, ByteSize):
        return value.human_readable(separator="").replace(".0", "")
    if isinstance(value, tuple):
        return f"[{', '.join(map(_in_yaml, value))}]"
    return yaml.safe_dump(value, default_flow_style=True, width=10**9).removesuffix("...\n").strip()


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the page and say whether it changed."""
    parser = argparse.ArgumentParser(description="Write the page of all keys of laionet.yaml.")
    parser.add_argument("page", type=Path, help="Where it goes, such as docs/settings.md.")
    page = parser.parse_args(arguments).page
    wanted = settings_page()
    is_current = page.exists() and page.read_text(encoding="utf-8") == wanted
    if not is_current:
        page.write_text(wanted, encoding="utf-8")
    print(f"{page}: {'up to date' if is_current else 'written'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
