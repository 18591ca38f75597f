"""Where attempts are counted: in the user database, or in a Redis that the setting ``throttle.store`` names.

Both are a ``Storage`` of the package ``limits``, which has the one for Redis.
"""

import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import cache
from itertools import count
from typing import Any, Final, NamedTuple, cast

from limits.storage import Storage, storage_from_string
from sqlalchemy import CursorResult, Integer, String, bindparam, case, delete, func, or_, select
from sqlalchemy.engine import Connection

from tenantapp.credentials.models import AttemptCount
from tenantapp.sql.errors import SqlError
from tenantapp.sql.prepared import CompiledText, compiled_for
from tenantapp.sql.times import UtcDateTime, utcnow
from tenantapp.sql.upsert import insert_for
from tenantapp.tenancy.dbfactory import DBFactory

PATIENCE: Final = 0.5  # seconds for an answer of Redis
SWEEP_EVERY: Final = 200  # attempts between two removals of expired counts, in each process
SWEPT_AT_ONCE: Final = 1000  # rows


_COLUMNS: Final = (("key", String), ("count", Integer), ("expires_at", UtcDateTime))


class Change(NamedTuple):
    """What to add to a counter. One that is new or has expired lasts ``expiry`` seconds from now.

    With an ``amount`` of nought it is forgotten, and so it is when as much is taken back as was added.
    """

    key: str
    expiry: int
    amount: int = 1

    def taken_back(self) -> "Change":
        """Return the change that undoes this one."""
        return self._replace(amount=-self.amount)


def forgotten(key: str) -> Change:
    """Return the change that forgets a counter."""
    return Change(key, 0, 0)


class DatabaseCounters(Storage):
    """Counts in the user database. Each call is one statement in autocommit, so no rollback takes a count back.

    ``database`` returns a factory in autocommit mode. It is asked at each call. One in ``sweep_every`` attempts removes
    expired counts.
    """

    STORAGE_SCHEME = None  # it is made from a factory, not from a URL

    def __init__(self, database: Callable[[], DBFactory], sweep_every: int = SWEEP_EVERY) -> None:
        super().__init__()
        self._database, self._sweep_every = database, sweep_every
        self._calls = count(1)

    @property
    def base_exceptions(self) -> type[Exception]:
        """Return the exceptions of a store that does not answer."""
        return SqlError

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Add ``amount`` to a counter and return it. A counter that is new or has expired lasts ``expiry`` seconds."""
        return self.add([Change(key, expiry, amount)])[0]

    def add(self, changes: Sequence[Change]) -> list[int]:
        """Change several counters by one statement, and return them in this order. No two changes have the same key.

        Counters that others change at the same time are to come in the same order in all calls: each is locked until
        the statement ends.
        """
        now = utcnow()
        values: dict[str, Any] = {"now": now}
        for number, (key, expiry, amount) in enumerate(changes):
            # What is taken back or forgotten makes no counter that counts.
            expires_at = now + timedelta(seconds=expiry if amount > 0 else 0)
            values |= {f"key{number}": key, f"count{number}": amount, f"expires_at{number}": expires_at}
        with self._database().engine.connect() as connection:
            if next(self._calls) % self._sweep_every == 0:
                _sweep(connection)
            counts = dict(_added(connection.dialect.name, len(changes)).execute(connection, values))
        return [counts[change.key] for change in changes]

    def get(self, key: str) -> int:
        """Return a counter, or 0 if there is none."""
        live = select(AttemptCount.count).where(AttemptCount.key == key, AttemptCount.expires_at > utcnow())
        with self._database().engine.connect() as connection:
            return connection.scalar(live) or 0

    def get_expiry(self, key: str) -> float:
        """Return when a counter expires, in seconds since the epoch. Without a counter it is the present time."""
        with self._database().engine.connect() as connection:
            expires_at = connection.scalar(select(AttemptCount.expires_at).where(AttemptCount.key == key))
        return (expires_at or utcnow()).timestamp()

    def clear(self, key: str) -> None:
        """Forget a counter."""
        with self._database().engine.connect() as connection:
            connection.execute(delete(AttemptCount).where(AttemptCount.key == key))

    def check(self) -> bool:
        """Return whether the database answers."""
        try:
            with self._database().engine.connect() as connection:
                connection.execute(select(func.count()).select_from(AttemptCount).where(AttemptCount.key == "")).all()
        except SqlError:
            return False
        return True

    def reset(self) -> int:
        """Forget all counters, and return how many there were."""
        with self._database().engine.connect() as connection:
            return cast("CursorResult[object]", connection.execute(delete(AttemptCount))).rowcount


@cache
def _added(dialect: str, changes: int) -> CompiledText:
    """Return the statement that makes so many changes. It is kept, because SQLAlchemy compiles such a one each time."""
    rows = [{name: bindparam(f"{name}{number}", type_=type_) for name, type_ in _COLUMNS} for number in range(changes)]
    insert, now = insert_for(dialect, AttemptCount).values(rows), bindparam("now", type_=UtcDateTime)
    anew = or_(AttemptCount.expires_at <= now, insert.excluded.count == 0)
    total = AttemptCount.count + insert.excluded.count
    changed = {
        "count": case((anew, insert.excluded.count), (total <= 0, 0), else_=total),
        "expires_at": case((anew, insert.excluded.expires_at), (total <= 0, now), else_=AttemptCount.expires_at),
    }
    added = insert.on_conflict_do_update(index_elements=[AttemptCount.key], set_=changed)
    return compiled_for(added.returning(AttemptCount.key, AttemptCount.count), dialect)


def seconds_left(counters: Storage, key: str) -> float:
    """Return in how many seconds a counter expires. Redis tells it by this machine's clock, and not by the present."""
    expires_at = counters.get_expiry(key)
    return expires_at - (utcnow().timestamp() if isinstance(counters, DatabaseCounters) else time.time())


def add_all(counters: Storage, changes: Sequence[Change]) -> list[int]:
    """Change several counters, and return them: by one statement, if they are in the user database."""
    if isinstance(counters, DatabaseCounters):
        return counters.add(changes) if changes else []
    return [_add(counters, change) for change in changes]


def _add(counters: Storage, change: Change) -> int:
    if change.amount > 0:
        return counters.incr(*change)
    if change.amount == 0 or (left := counters.incr(*change)) <= 0:
        # It may have expired meanwhile, and a counter below nought would let somebody try more often.
        counters.clear(change.key)
        return 0
    return left


def counters_of(url: str | None, database: Callable[[], DBFactory]) -> Storage:
    """Return the counters that the setting ``throttle.store`` names. Nothing connects yet."""
    if url is None:
        return DatabaseCounters(database)
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    options = {
        # Once more, at once: a connection that was kept may have ended. The default waits for seconds between attempts.
        "retry": Retry(NoBackoff(), 1),
        "socket_timeout": PATIENCE,
        "socket_connect_timeout": PATIENCE,
        "key_prefix": "tenantapp",
        "wrap_exceptions": True,
    }
    # limits has another name for the scheme of a socket than the client.
    made = storage_from_string(url.replace("unix:", "redis+unix:", 1), **options)  # type: ignore[arg-type]
    return cast(Storage, made)


def _sweep(connection: Connection) -> None:
    """Delete some of the expired counters, so that a flood of attempts on all kinds of names does not fill the disk."""
    now = utcnow()
    keys = select(AttemptCount.key).where(AttemptCount.expires_at <= now).limit(SWEPT_AT_ONCE)
    # Not those that a sign-in changes at the same moment: it may wait for another one of these.
    free = keys.with_for_update(skip_locked=True)
    connection.execute(delete(AttemptCount).where(AttemptCount.key.in_(free), AttemptCount.expires_at <= now))
