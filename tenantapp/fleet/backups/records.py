"""What is known of a file in the store. The record is written when the file is there: no backup is without one."""

from datetime import datetime
from pathlib import PurePosixPath
from typing import Annotated, Final, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

FORMAT: Final = "tenantapp backup"
FINAL_FORMAT: Final = "tenantapp final copy"
VERSION: Final = 1
RECORD_SUFFIX: Final = ".json"
FINAL_SUFFIX: Final = "final"  # before the one of the engine
BUNDLE_SUFFIX: Final = "bundle"


class StoredFile(BaseModel):
    """The JSON beside a file. ``file`` is its path in the store, ``size`` in bytes, ``sha256`` of all of it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: str
    version: Literal[1]
    tenant_id: UUID
    slug: str
    name: str
    created_at: datetime
    engine: Literal["sqlite", "postgresql"]
    revision: str
    file: str
    size: Annotated[int, Field(ge=0)]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]

    @property
    def id(self) -> str:
        """What it is called among the tenant's: the name of the file, without what it ends in."""
        return PurePosixPath(self.file).stem

    @property
    def path(self) -> str:
        """The path of the record itself in the store."""
        return self.file + RECORD_SUFFIX


class BackupRecord(StoredFile):
    """Of a dump, in the engine's own form. ``fingerprint`` is of the structure that was dumped.

    ``server`` and ``tool`` are the versions it was made by, on SQLite both the library's.
    """

    format: Literal["tenantapp backup", "tenantapp final copy"]
    server: str
    tool: str
    fingerprint: str


class FinalCopy(BackupRecord):
    """Of the dump that is made, restored and compared before a tenant is removed. ``rows`` are those of all tables."""

    format: Literal["tenantapp final copy"]
    rows: Annotated[int, Field(ge=0)]


class FinalBundle(StoredFile):
    """Of a bundle, as was made before a tenant was removed until there were final copies. ``rows`` as there."""

    format: Literal["tenantapp final bundle"]
    rows: Annotated[int, Field(ge=0)]
