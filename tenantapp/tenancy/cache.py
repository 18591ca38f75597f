"""The cache of a tenant: ``request.tenant_cache``.

Values are kept under the id of the tenant and the epoch of its content (``identity.epochs``). So a request never gets a
value of another tenant, nor one of before a restore. They are JSON, not pickles: loading a pickle can run code, so
whoever could write to Redis would run code here. JSON also gives each reader a value of its own.
"""

from collections.abc import Callable
from typing import Any, Final

import orjson
from transaction import TransactionManager

from tenantapp.json_types import dumps
from tenantapp.tenancy.cache_stores import CacheStore, Place

KEY_LENGTH: Final = 200  # characters
MOST_SECONDS: Final = 86_400.0
SECONDS: Final = 60.0


class TenantCache:
    """The cache of one tenant, for one request.

    With a transaction, which a request that may change something has, its changes are made after the commit, and not at
    all if it is aborted. The request itself sees them at once.
    """

    def __init__(self, store: CacheStore, place: Place, manager: TransactionManager | None = None) -> None:
        self._store, self._place, self._manager = store, place, manager
        self._waiting: dict[str, tuple[bytes, float] | None] = {}  # None: to be deleted

    def get(self, key: str, default: Any = None) -> Any:
        """Return a value as JSON has it, or the default. Raises ``ValueError`` for a key that cannot be used."""
        found = self._find(_checked(key))
        return default if found is None else orjson.loads(found)

    def set(self, key: str, value: Any, *, seconds: float = SECONDS) -> None:
        """Keep a value for at most so many seconds, up to a day.

        Raises ``TypeError`` if JSON does not have it, and ``ValueError`` for the key and the seconds.
        """
        self._change(_checked(key), (dumps(value), _checked_seconds(seconds)))

    def delete(self, key: str) -> None:
        """Forget a value. Raises ``ValueError`` for a key that cannot be used."""
        self._change(_checked(key), None)

    def get_or_make(self, key: str, make: Callable[[], Any], *, seconds: float = SECONDS) -> Any:
        """Return a value, or else what ``make`` returns, and keep that. Both are returned as JSON has them.

        Raises what ``set`` and ``make`` raise.
        """
        found = self._find(_checked(key))
        if found is None:
            found = dumps(make())
            self._change(key, (found, _checked_seconds(seconds)))
        return orjson.loads(found)

    def _find(self, key: str) -> bytes | None:
        if key in self._waiting:
            changed = self._waiting[key]
            return None if changed is None else changed[0]
        return self._store.get(self._place, key)

    def _change(self, key: str, entry: tuple[bytes, float] | None) -> None:
        if self._manager is None:
            self._write(key, entry)
            return
        if not self._waiting:
            self._manager.get().addAfterCommitHook(self._ended)
        self._waiting[key] = entry

    def _ended(self, committed: bool) -> None:
        changed, self._waiting = self._waiting, {}
        for key, entry in changed.items() if committed else ():
            self._write(key, entry)

    def _write(self, key: str, entry: tuple[bytes, float] | None) -> None:
        if entry is None:
            self._store.delete(self._place, key)
        else:
            self._store.set(self._place, key, *entry)


def _checked(key: str) -> str:
    if not 0 < len(key) <= KEY_LENGTH:
        raise ValueError(f"A key of the cache has 1 to {KEY_LENGTH} characters.")
    return key


def _checked_seconds(seconds: float) -> float:
    if not 0 < seconds <= MOST_SECONDS:
        raise ValueError(f"A value is kept for more than 0 and at most {MOST_SECONDS:g} seconds.")
    return seconds
