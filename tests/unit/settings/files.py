"""A configuration with no more than it must have, a file of it, and settings with other keys beside it."""

import json
from pathlib import Path
from typing import Any

import yaml

from laionet_assets.settings import Settings, load_settings

MINIMAL = """
sources: [{name: s, path: ./parts}]
text_encoders: [{name: e, model: "sentence-transformers:all-MiniLM-L6-v2"}]
recipes: [{name: r, encoder: e, text_threshold: 0.5}]
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "laionet.yaml"
    path.write_text(text)
    return path


def settings_with(folder: Path, **keys: Any) -> Settings:
    """Settings of `MINIMAL` with these keys, from a file in the folder."""
    return load_settings(write(folder, json.dumps(yaml.safe_load(MINIMAL) | keys)))
