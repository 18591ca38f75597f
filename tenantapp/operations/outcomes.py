"""How work on an operation goes, and how it ends."""

from collections.abc import Callable
from dataclasses import dataclass

from tenantapp.identity.errors import IdentityError
from tenantapp.operations.errors import FleetError
from tenantapp.sql.errors import SqlError
from tenantapp.tenancy.errors import TenancyError

Report = Callable[[float, str], None]
"""Is told the progress of the whole, from 0 to 1, and what is being done."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """Where an operation is after we worked on it, and what kept it from success."""

    state: str
    error: Exception | None = None


def no_report(fraction: float, text: str) -> None:
    """Tell nobody."""


def is_expected(error: Exception) -> bool:
    """Whether an error speaks for itself; another one is a bug, or somebody's migration."""
    return isinstance(error, FleetError | TenancyError | SqlError | IdentityError)


def sentence(error: Exception) -> str:
    """What is recorded of an error."""
    return str(error) if is_expected(error) else f"{type(error).__name__}: {error}"


def first_line(said: BaseException | str | None) -> str:
    """The first line of what an error, a driver or a tool says, the only one that tells what happened."""
    return str(said or "").strip().partition("\n")[0].rstrip(".") or "it gave no reason"


def cause(error: Exception) -> str:
    """What a driver said that became an error of ours, in its first line."""
    return first_line(error.__cause__ or error)


def counted(
    progress: Report, words: str, *, total: int = 0, since: float = 0.0, unit: int = 1
) -> Callable[[int], None]:
    """What is told of so many more each time, and reports all of them so far.

    ``words`` has a place for how many that are, in units. Of so many as ``total``, if that is known, it reports the
    part from ``since`` to 1.
    """
    done = 0

    def more(count: int) -> None:
        nonlocal done
        done += count
        part = min(done / total, 1.0) if total else 0.0
        progress(since + (1.0 - since) * part, words.format(done // unit))

    return more
