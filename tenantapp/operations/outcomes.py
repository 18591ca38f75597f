"""The progress of an operation and its outcome, in words."""

from collections.abc import Callable
from dataclasses import dataclass

from tenantapp.identity.errors import IdentityError
from tenantapp.operations.errors import FleetError
from tenantapp.sql.errors import SqlError
from tenantapp.tenancy.errors import TenancyError

Report = Callable[[float, str], None]
"""Called with the progress of the whole operation, from 0 to 1, and what is being done."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The state of an operation after this process has worked on it, and the error that made it fail."""

    state: str
    error: Exception | None = None


def no_report(fraction: float, text: str) -> None:
    """Report nothing."""


def is_expected(error: Exception) -> bool:
    """Return whether an error's message is enough. Any other error is a bug, or comes from somebody's migration."""
    return isinstance(error, FleetError | TenancyError | SqlError | IdentityError)


def sentence(error: Exception) -> str:
    """Return the text that is recorded for an error."""
    return str(error) if is_expected(error) else f"{type(error).__name__}: {error}"


def first_line(said: BaseException | str | None) -> str:
    """Return the first line of what an error, a driver or a tool says. Only this line tells what happened."""
    return str(said or "").strip().partition("\n")[0].rstrip(".") or "it gave no reason"


def cause(error: Exception) -> str:
    """Return the first line of the driver's error behind one of our errors."""
    return first_line(error.__cause__ or error)


def counted(
    progress: Report, words: str, *, total: int = 0, since: float = 0.0, unit: int = 1
) -> Callable[[int], None]:
    """Return a function that takes the number of new items and reports the sum so far.

    ``words`` has a placeholder for the sum, which is divided by ``unit``. If ``total`` is known, the reported progress
    runs from ``since`` to 1; otherwise it stays at ``since``.
    """
    done = 0

    def more(count: int) -> None:
        nonlocal done
        done += count
        part = min(done / total, 1.0) if total else 0.0
        progress(since + (1.0 - since) * part, words.format(done // unit))

    return more
