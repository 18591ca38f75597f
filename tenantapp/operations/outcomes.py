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
