"""The connections of one tenant, on the budget of its server."""

from collections.abc import Callable
from typing import Any

from sqlalchemy.pool import ConnectionPoolEntry, Pool

from tenantapp.tenancy.budget import ConnectionBudget


class BudgetedPool(Pool):
    """A pool that asks the server's budget for each place, and lets it see what is idle.

    One that does not ``keep`` closes each connection when it is given back: behind a PgBouncer, which is the pool, an
    idle one would only take a place there.
    """

    def __init__(self, creator: Callable[[], Any], budget: ConnectionBudget, keep: bool = True, **options: Any) -> None:
        # Not keyword-only: SQLAlchemy's create_engine() passes on the arguments it finds by name and position.
        super().__init__(creator, **options)
        self._budget = budget
        self._keep = keep
        self.in_use = 0
        self.idle: list[ConnectionPoolEntry] = []
        self._disposed = False

    def _do_get(self) -> ConnectionPoolEntry:
        entry = self._budget.take(self)
        if entry is not None:
            return entry
        try:
            return self._create_connection()
        except BaseException:
            self._budget.free(self)
            raise

    def _do_return_conn(self, record: ConnectionPoolEntry) -> None:
        if self._disposed or not self._keep:
            # Disposed: its engine has been forgotten meanwhile, and nobody would ask this pool again.
            record.close()
        self._budget.give_back(self, record)

    def sibling(self, creator: Callable[..., Any]) -> "BudgetedPool":
        """A pool for another database of the same server: same budget, same dialect, same listeners."""
        return BudgetedPool(
            creator,
            budget=self._budget,
            keep=self._keep,
            reset_on_return=self._reset_on_return,
            dialect=self._dialect,
            _dispatch=self.dispatch,
        )

    def recreate(self) -> "BudgetedPool":
        return self.sibling(self._creator)

    def dispose(self) -> None:
        self._disposed = True
        self._budget.drain(self)

    def checkedout(self) -> int:
        """How many connections are in use."""
        return self.in_use

    def status(self) -> str:
        return f"in use: {self.in_use}, idle: {len(self.idle)}"
