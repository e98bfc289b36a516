"""The errors of this room."""

from laionet_assets.errors import UserError


class SourceError(UserError):
    """A source cannot be read as configured: found, expected, what to do."""


class NoPartsError(SourceError):
    """The place of a source can be looked at, and no part of it is there."""


class DamagedRowsError(SourceError):
    """Rows of a file cannot be read; the others may be, in a more lenient way."""
