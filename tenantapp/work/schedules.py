"""When is a periodic job due?

The tenants of a fleet do not all begin at once: each has its own moment, which follows from its id and the job's name.
"""

import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from cronsim import CronSim, CronSimError

from tenantapp.work.errors import JobsError

EVERY: Final = re.compile(r"([1-9]\d{0,4})([mhdw])")
UNITS: Final = {"m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}  # seconds
LONGEST: Final = 366 * 86400  # seconds
# What a cron expression says is a moment for all tenants. They begin within this part of the time to the next one.
CRON_PART: Final = 10
CRON_MOST: Final = 600.0  # seconds
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Schedule:
    """``every`` is a period in seconds, or else ``cron`` a cron expression, in UTC. ``text`` says it in words."""

    text: str
    every: int = 0
    cron: str = ""

    def next_due(self, name: str, tenant_id: UUID, after: datetime) -> datetime:
        """Return when this job of this tenant is due next, later than ``after``."""
        share = _share(name, tenant_id)
        if self.every:
            offset = share * self.every
            periods = ((after - EPOCH).total_seconds() - offset) // self.every + 1
            return EPOCH + timedelta(seconds=offset + periods * self.every)
        # The moment of this tenant may follow an earlier moment of the expression.
        moments = CronSim(self.cron, after - timedelta(seconds=CRON_MOST))
        moment = next(moments)
        while True:
            following = next(moments)
            spread = min(CRON_MOST, (following - moment).total_seconds() / CRON_PART)
            due = moment + timedelta(seconds=share * spread)
            if due > after:
                return due
            moment = following


def read_schedule(every: str | None, cron: str | None) -> Schedule | None:
    """Return the schedule of a job, or None for a job that is only queued. Raises ``JobsError``."""
    if every is not None and cron is not None:
        raise JobsError("has both every and cron; give one of them")
    if every is not None:
        return _every(every)
    return None if cron is None else _cron(cron)


def _every(every: str) -> Schedule:
    found = EVERY.fullmatch(every)
    seconds = int(found[1]) * UNITS[found[2]] if found else 0
    if not 0 < seconds <= LONGEST:
        raise JobsError(
            f"has the period {every!r}; it is a number and a unit, such as 15m, 1h, 1d or 1w, at most a year"
        )
    return Schedule(f"every {every}", every=seconds)


def _cron(cron: str) -> Schedule:
    try:
        if len(cron.split()) != 5:
            raise CronSimError("it has five fields")
        next(CronSim(cron, EPOCH))
    except (CronSimError, StopIteration) as error:
        raise JobsError(
            f"has the cron expression {cron!r}, which cannot be used: {error or 'it is never due'}"
        ) from None
    if len(cron) > 90:
        raise JobsError("has a cron expression of more than 90 characters")
    return Schedule(f"cron {cron}", cron=cron)


def _share(name: str, tenant_id: UUID) -> float:
    """Return a fraction, from 0 to 1, that differs between tenants and jobs and stays the same."""
    digest = hashlib.sha256(f"{name} {tenant_id}".encode()).digest()
    return int.from_bytes(digest[:6]) / 2**48
