"""A configuration with no more than it must have, and a file of it."""

from pathlib import Path

MINIMAL = """
sources: [{name: s, path: ./parts}]
text_encoders: [{name: e, model: "sentence-transformers:all-MiniLM-L6-v2"}]
recipes: [{name: r, encoder: e, text_threshold: 0.5}]
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "laionet.yaml"
    path.write_text(text)
    return path
