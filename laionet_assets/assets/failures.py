"""How a step fails: what is retried, what the user is shown, and what is told of it later.

Belongs here: errors on their way through Dagster. Does not belong here: raising them.
"""

import traceback
from typing import Any

import dagster as dg

from laionet_assets.errors import UserError, cause_of
from laionet_assets.full_disk import full_disk, is_full

MAX_RETRIES = 3
RETRY_SECONDS = 10
FAILED_PARTS = "failed_parts"
"""Metadata of a failed step of several parts: the message of each part that failed, by its key."""


class user_errors_shown:
    """What the user can mend, a full disk too, fails the step with its one message, without retries."""

    def __init__(self, warehouse: str) -> None:
        """`warehouse`: its folder or URL."""
        self.warehouse = warehouse

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> None:
        shown = error if isinstance(error, UserError) else error and full_disk(error, warehouse=self.warehouse)
        if shown:
            raise dg.Failure(str(shown), allow_retries=False) from error


class transient_faults_retried:
    """Faults that may be gone in a moment (network, object storage) are retried after a pause; nothing else is."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> None:
        if error is not None and is_transient(error):
            raise dg.RetryRequested(max_retries=MAX_RETRIES, seconds_to_wait=RETRY_SECONDS) from error


def is_transient(error: BaseException) -> bool:
    """Whether an error comes from the network or the object store, by the error or one of its causes.

    What the user has to mend never is, whatever caused it: a hub that cannot be reached is told at once.
    """
    seen: BaseException | None = error
    found = False
    while seen is not None:
        if isinstance(seen, UserError):
            return False
        found = found or isinstance(seen, ConnectionError | TimeoutError) or _is_of_the_network(seen)
        seen = cause_of(seen)
    return found


def is_of_every_part(error: BaseException) -> bool:
    """Whether an error that one part met is no fault of that part, and the next would meet it: of the network, of the
    object store, or of a full disk.
    """
    return is_transient(error) or is_full(error)


def failure_message(data: Any) -> str:
    """What a failed step of a run says: the user's message alone, or the error with its causes and the traceback of the
    last of them.
    """
    if data.user_failure_data is not None:
        return str(data.user_failure_data.description)
    errors = []
    error = data.error
    while error is not None:
        errors.append(error)
        error = error.cause
    if not errors:
        return "failed without a message"
    own = [each.message.strip() for each in errors[:-1] if not (each.cls_name or "").startswith(_WRAPPERS)]
    return "\n".join([*own, errors[-1].to_string()])


def told(error: BaseException, *, warehouse: str) -> str:
    """What is told of an error: the user's message alone, that of a full disk, or anything else with its traceback."""
    shown = error if isinstance(error, UserError) else full_disk(error, warehouse=warehouse)
    if shown is not None:
        return str(shown)
    return "".join(traceback.format_exception(error)).strip()


_WRAPPERS = ("Dagster", "RetryRequested")
"""Errors that Dagster wraps around those of a step."""


def _is_of_the_network(error: BaseException) -> bool:
    kind = type(error)
    return kind.__module__.split(".")[0] in ("botocore", "aiohttp", "urllib3") and "NotFound" not in kind.__name__
