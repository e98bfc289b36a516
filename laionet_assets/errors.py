"""The one kind of error that a user can cause and mend.

Anything the user could put right (a key, a file, a column, a name) raises `UserError` or a room's subclass of it: the
message says what was found, what was expected and what to do. The command line prints it alone; everything else keeps
its traceback.
"""


class UserError(Exception):
    """Bad input. The message is one clear sentence or list: found, expected, what to do."""
