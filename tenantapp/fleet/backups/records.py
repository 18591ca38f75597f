"""What is known of a backup. The record is written when the dump is there, so that there is no backup without one."""

from datetime import datetime
from typing import Annotated, Final, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

FORMAT: Final = "tenantapp backup"
VERSION: Final = 1


class BackupRecord(BaseModel):
    """The JSON beside a dump. ``file`` is the dump's path in the store, ``size`` in bytes, ``sha256`` of all of it.

    ``fingerprint`` is of the structure that was dumped; ``server`` and ``tool`` are the versions it was made by, on
    SQLite both the library's.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["tenantapp backup"]
    version: Literal[1]
    tenant_id: UUID
    slug: str
    name: str
    created_at: datetime
    engine: Literal["sqlite", "postgresql"]
    server: str
    tool: str
    revision: str
    fingerprint: str
    file: str
    size: Annotated[int, Field(ge=0)]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]

    @property
    def path(self) -> str:
        """The path of the record itself in the store."""
        return record_path(self.file)


def record_path(file: str) -> str:
    """The path of the record of a dump."""
    return f"{file}.json"
