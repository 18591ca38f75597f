"""The jobs that a domain declares."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from tenantapp.work.errors import JobsError, UnknownJob
from tenantapp.work.schedules import Schedule, read_schedule

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from tenantapp.tenancy.access import TenantPlace
    from tenantapp.work.running import Job

NAME: Final = re.compile(r"[a-z][a-z0-9_.-]{0,99}")
RETRIES: Final = 5
MOST_RETRIES: Final = 100
LONGEST: Final = 86400.0  # seconds
Handler = Callable[["Job"], object]
Wanted = tuple[str, Mapping[str, Any]]
"""The name and the arguments of a job."""
Source = Callable[["Session", "TenantPlace"], Iterable[Wanted]]
"""Takes a reading session on a tenant's database. Returns the jobs that are to be done now and are not queued yet."""


@dataclass(frozen=True, slots=True)
class DeclaredJob:
    """A job: its handler, how often it is tried again, its schedule, and how many seconds it may take.

    ``timeout`` is None for the setting ``jobs.timeout``. Unless it is ``kept``, the row is removed when it is done.
    """

    name: str
    handler: Handler
    retries: int = RETRIES
    schedule: Schedule | None = None
    timeout: float | None = None
    kept: bool = True


class DeclaredJobs(Mapping[str, DeclaredJob]):
    """The declared jobs by name. Each of the ``sources`` is asked at every visit which further jobs there are."""

    def __init__(self) -> None:
        self._jobs: dict[str, DeclaredJob] = {}
        self.sources: list[Source] = []

    def __getitem__(self, name: str) -> DeclaredJob:
        return self._jobs[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._jobs)

    def __len__(self) -> int:
        return len(self._jobs)

    def check(self, name: str) -> None:
        """Raise ``UnknownJob`` if there is no job of this name."""
        if name not in self._jobs:
            raise UnknownJob(name)

    @property
    def periodic(self) -> dict[str, Schedule]:
        """Return the schedules of the periodic jobs, by name."""
        return {name: job.schedule for name, job in self._jobs.items() if job.schedule is not None}

    def declare(
        self,
        name: str,
        handler: Handler,
        *,
        retries: int = RETRIES,
        every: str | None = None,
        cron: str | None = None,
        timeout: float | None = None,
        kept: bool = True,
    ) -> None:
        """Add a job. Raises ``JobsError`` if the declaration is wrong, or if there is a job of this name."""
        if not NAME.fullmatch(name):
            raise JobsError(f"The job {name!r} needs a name in lower case, such as recount, of at most 100 characters")
        if name in self._jobs:
            raise JobsError(f"There are two jobs called {name}")
        try:
            self._jobs[name] = DeclaredJob(
                name, _callable(handler), _retries(retries), read_schedule(every, cron), _timeout(timeout), kept
            )
        except JobsError as error:
            raise JobsError(f"The job {name} {error}") from error.__cause__


def _callable(handler: Any) -> Handler:
    if not callable(handler):
        raise JobsError("needs a function, or the name of one, such as inventory.jobs:recount")
    found: Handler = handler
    return found


def _retries(retries: Any) -> int:
    if type(retries) is not int or not 0 <= retries <= MOST_RETRIES:
        raise JobsError(f"has retries={retries!r}; it is a number from 0 to {MOST_RETRIES}")
    return retries


def _timeout(timeout: Any) -> float | None:
    if timeout is None:
        return None
    if not isinstance(timeout, int | float) or not 0 < timeout <= LONGEST:
        raise JobsError(f"has timeout={timeout!r}; it is in seconds, at most {LONGEST:g}")
    return float(timeout)
