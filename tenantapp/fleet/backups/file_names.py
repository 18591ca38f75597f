"""What files in the store are called: by the tenant, the time when they were begun, and what they were made for."""

from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Final
from uuid import UUID

from tenantapp.sql.ids import uuid7

STAMP: Final = "%Y%m%dT%H%M%SZ"
KEY_LENGTH: Final = 12


def new_file(tenant_id: UUID, created_at: datetime, suffix: str, key: UUID | None = None) -> str:
    """The path of a new file. It sorts by time, and no two are the same; ``key`` is what ``is_under`` knows."""
    return f"{tenant_id.hex}/{created_at.astimezone(UTC):{STAMP}}-{_end(key or uuid7())}.{suffix}"


def is_under(key: UUID, file: str) -> bool:
    """Whether a file, whatever its suffixes, was made under this key."""
    return PurePosixPath(file).name.partition(".")[0].endswith(f"-{_end(key)}")


def begun(file: str) -> datetime:
    """When a file was begun; at the end of all time if its name is none of ours."""
    stamp = PurePosixPath(file).name.split("-", 1)[0]
    try:
        return datetime.strptime(stamp, STAMP).replace(tzinfo=UTC)
    except ValueError:
        return datetime.max.replace(tzinfo=UTC)


def _end(key: UUID) -> str:
    return key.hex[-KEY_LENGTH:]
