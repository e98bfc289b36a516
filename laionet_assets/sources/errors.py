"""The one error of this room."""

from laionet_assets.errors import UserError


class SourceError(UserError):
    """A source cannot be read as configured: found, expected, what to do."""
