"""The `$name` parameters of SQL models. Both matching profiles are always made."""

from typing import Any

SQL_PARAMETERS: dict[str, Any] = {"matchings": ["paper", "corrected"]}
