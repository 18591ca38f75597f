"""The names of files in the store: the tenant, the time when the file was begun, and a key."""

from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Final
from uuid import UUID

from tenantapp.sql.ids import uuid7

STAMP: Final = "%Y%m%dT%H%M%SZ"
KEY_LENGTH: Final = 12


def new_file(tenant_id: UUID, created_at: datetime, suffix: str, key: UUID | None = None) -> str:
    """Return a unique path for a new file. Paths sort by time. ``is_under`` finds the file by ``key``."""
    return f"{tenant_id.hex}/{created_at.astimezone(UTC):{STAMP}}-{_end(key or uuid7())}.{suffix}"


def is_under(key: UUID, file: str) -> bool:
    """Return whether a file, whatever its suffixes, was made under this key."""
    return PurePosixPath(file).name.partition(".")[0].endswith(f"-{_end(key)}")


def begun(file: str) -> datetime:
    """Return when a file was begun, or ``datetime.max`` if the name is not one of ours."""
    stamp = PurePosixPath(file).name.split("-", 1)[0]
    try:
        return datetime.strptime(stamp, STAMP).replace(tzinfo=UTC)
    except ValueError:
        return datetime.max.replace(tzinfo=UTC)


def _end(key: UUID) -> str:
    return key.hex[-KEY_LENGTH:]
