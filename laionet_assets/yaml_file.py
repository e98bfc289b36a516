"""Reading a YAML file that a person wrote: a key that stands twice is an error, not the last of the two."""

from pathlib import Path
from typing import Any

import yaml


class YamlFileError(ValueError):
    """The file is no readable YAML. The message says what is wrong and on which line, without the file's name."""


_Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_Base):
    """The safe loader, strict about keys."""


def _mapping(loader: Any, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
    lines: dict[Any, int] = {}
    for key_node, _ in node.value:
        if key_node.tag == "tag:yaml.org,2002:merge":
            continue
        key = loader.construct_object(key_node, deep=True)
        line = key_node.start_mark.line + 1
        if key in lines:
            raise YamlFileError(f"the key {key!r} stands on line {lines[key]} and again on line {line}; keep one")
        lines[key] = line
    loader.flatten_mapping(node)
    return dict(yaml.constructor.SafeConstructor.construct_mapping(loader, node, deep=True))


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def read_yaml(path: Path) -> Any:
    """What a YAML file says; None if it says nothing. Raises YamlFileError, or OSError where it cannot be read."""
    try:
        return yaml.load(path.read_text(encoding="utf-8-sig"), Loader=_Loader)
    except UnicodeDecodeError as error:
        raise YamlFileError(f"not UTF-8 text: byte {error.start} is 0x{error.object[error.start]:02x}") from None
    except yaml.YAMLError as error:
        raise YamlFileError(f"not readable as YAML: {error}") from None
    except TypeError as error:  # a key that is a list or a mapping
        raise YamlFileError(f"not readable as YAML: {error}") from None
