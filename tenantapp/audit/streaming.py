"""Send sealed entries on, at least once, in the order of each chain.

A chain remembers up to where its entries were acknowledged. A process that sends claims the chains that are behind for
a minute. If it dies, another one sends the same entries again: a receiver knows them by chain and position.
"""

import logging
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import and_, or_, select, update
from sqlalchemy.orm import Session

from tenantapp.audit.errors import NotSent
from tenantapp.audit.exporting import Line, entry_line
from tenantapp.audit.models import TRAIL, AuditChain, of_chain
from tenantapp.audit.receivers import Receiver
from tenantapp.sql.times import utcnow
from tenantapp.tenancy.dbfactory import DBFactory

log = logging.getLogger(__name__)
AT_ONCE: Final = 200  # entries in one request
CHAINS: Final = 50  # in one request
CLAIM: Final = timedelta(minutes=1)
PAUSES: Final = (1.0, 300.0)  # seconds: after the first failure, and the longest


class Streamer:
    """Sends the entries of an installation to a receiver. After a failure it pauses, longer each time."""

    def __init__(
        self,
        user_db: DBFactory,
        receiver: Receiver,
        *,
        at_once: int = AT_ONCE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._user_db, self._receiver, self._at_once, self._clock = user_db, receiver, at_once, clock
        self._pause, self._not_before = 0.0, 0.0

    def work(self) -> bool:
        """Send some entries. Return whether there may be more to send at once."""
        if self._clock() < self._not_before or not self._is_any_behind():
            return False
        with self._user_db.begin() as session:
            claimed = self._claim(session)
        if not claimed:
            return False
        try:
            self._receiver.send([line for _, _, lines in claimed for line in lines])
        except NotSent as error:
            self._failed(error, claimed)
            return False
        self._pause = 0.0
        self._release(claimed, sent=True)
        return True

    def _is_any_behind(self) -> bool:
        with self._user_db.begin(read_only=True) as session:
            return session.scalar(select(AuditChain.chain).where(_is_behind()).limit(1)) is not None

    def _claim(self, session: Session) -> list[tuple[UUID, int, list[Line]]]:
        """Return chains with their positions before, and their next entries: all that fit in one request."""
        behind = select(AuditChain).where(_is_behind()).order_by(AuditChain.at, AuditChain.chain).limit(CHAINS)
        claimed, left = [], self._at_once
        for chain in session.scalars(behind.with_for_update(skip_locked=True)):
            following = select(TRAIL).where(of_chain(chain.chain), TRAIL.c.position > chain.streamed)
            rows = session.execute(following.order_by(TRAIL.c.position).limit(left)).all()
            if rows:
                chain.streaming_until = utcnow() + CLAIM
                lines = [{"chain": str(chain.chain), **entry_line(row)} for row in rows]
                claimed.append((chain.chain, chain.streamed, lines))
                left -= len(rows)
            if left == 0:
                break
        return claimed

    def _release(self, claimed: Sequence[tuple[UUID, int, list[Line]]], *, sent: bool) -> None:
        with self._user_db.begin() as session:
            for chain, before, lines in claimed:
                # Not if another process has taken over meanwhile.
                ours = update(AuditChain).where(AuditChain.chain == chain, AuditChain.streamed == before)
                reached: dict[str, Any] = {"streamed": lines[-1]["position"]} if sent else {}
                session.execute(ours.values(streaming_until=None, **reached))

    def _failed(self, error: NotSent, claimed: Sequence[tuple[UUID, int, list[Line]]]) -> None:
        shortest, longest = PAUSES
        self._pause = min(longest, 2 * self._pause) or shortest
        self._not_before = self._clock() + self._pause
        log.warning("The audit trail was not sent; the next attempt is in %g seconds. %s", self._pause, error)
        self._release(claimed, sent=False)


def _is_behind() -> Any:
    is_free = or_(AuditChain.streaming_until.is_(None), AuditChain.streaming_until < utcnow())
    return and_(AuditChain.streamed < AuditChain.position, is_free)
