"""The result of ``tenantapp migrate``."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tenantapp.fleet.migrating.rehearsals import Rehearsal
from tenantapp.fleet.migrating.run import MigrationRun
from tenantapp.fleet.verifying.verification import State, Verdict


@dataclass
class MigrationReport:
    """The result of a run. ``verdicts`` are those of the databases that were verified afterwards.

    If it was ``only_rehearsed``, no tenant was to be migrated.
    ``seconds`` is the time that the migrations took, and ``verify_seconds`` that of the verification, or None if there
    was none.
    """

    run: MigrationRun
    only_rehearsed: bool = False
    seconds: float = 0.0
    verify_seconds: float | None = None
    verdicts: list[Verdict] = field(default_factory=list)

    @property
    def wrong(self) -> list[Verdict]:
        """Return the verdicts on databases that differ from their revision, or could not be read."""
        return [verdict for verdict in self.verdicts if verdict.state != State.RIGHT]

    @contextmanager
    def migrating(self) -> Iterator[None]:
        """Measure the time of a block, however it ends."""
        started = time.monotonic()
        try:
            yield
        finally:
            self.seconds = time.monotonic() - started

    def verified(self, verdicts: list[Verdict], seconds: float) -> None:
        """Add the verdicts, and how many seconds the verification took."""
        self.verdicts, self.verify_seconds = verdicts, seconds

    def complaints(self) -> list[str]:
        """Return what is wrong, a phrase for each problem. Empty if all is well."""
        run, found = self.run, [_badly(rehearsal) for rehearsal in self.run.badly_rehearsed]
        if self.only_rehearsed:
            return found
        total = len(run.results) + len(run.left)
        if missing := len(run.failed) + len(run.left):
            found.append(f"{missing} of {_tenants(total)} {_are(missing)} not at {run.plan.wanted}")
        if wrong := len(self.wrong):
            databases = f"{len(self.verdicts)} migrated {'database' if len(self.verdicts) == 1 else 'databases'}"
            found.append(
                f"{wrong} of {databases} {_are(wrong)} not what the revision should make, or could not be read"
            )
        return found


def _badly(rehearsal: Rehearsal) -> str:
    left = f"; look at {rehearsal.branch}, which expires in a day" if rehearsal.branch else ""
    return f"the rehearsal on {rehearsal.tenant} {rehearsal.state}{left}"


def _tenants(number: int) -> str:
    return f"{number} {'tenant' if number == 1 else 'tenants'}"


def _are(number: int) -> str:
    return "is" if number == 1 else "are"
