"""The one kind of error that a user can cause and mend.

Anything the user could put right (a key, a file, a column, a name) raises `UserError` or a room's subclass of it: the
message says what was found, what was expected and what to do. The command line prints it alone; everything else keeps
its traceback.
"""


class UserError(Exception):
    """Bad input. The message is one clear sentence or list: found, expected, what to do."""


def cause_of(error: BaseException) -> BaseException | None:
    """What an error was raised from, or while handling what; None where that was suppressed (`from None`)."""
    return error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def with_causes(error: BaseException) -> str:
    """What an error says, and what each of its causes adds to that."""
    texts = [_said(error)]
    while (cause := cause_of(error)) is not None:
        error = cause
        if not any(_said(error) in text for text in texts):
            texts.append(_said(error))
    return "; because of ".join(texts)


def _said(error: BaseException) -> str:
    return str(error) or type(error).__name__
