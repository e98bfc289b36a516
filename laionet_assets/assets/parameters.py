"""The `$name` parameters of SQL models."""

from typing import Any

DEFAULT_PARAMETERS: dict[str, Any] = {"matchings": ["paper", "corrected"]}
