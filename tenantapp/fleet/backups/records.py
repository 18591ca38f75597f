"""The records of files in the store. A record is written after its file, and a file without a record is no backup."""

from datetime import datetime
from pathlib import PurePosixPath
from typing import Annotated, Any, Final, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer

FORMAT: Final = "tenantapp backup"
FINAL_FORMAT: Final = "tenantapp final copy"
VERSION: Final = 1
# How fingerprints are made. A fingerprint of another method is not compared. The method gets another name when a
# structure has other parts, or when they are written in another way.
METHOD: Final = "restored form"
FIRST_METHOD: Final = "as printed"  # that of records which name none
RECORD_SUFFIX: Final = ".json"
FINAL_SUFFIX: Final = "final"  # before the suffix of the engine
BUNDLE_SUFFIX: Final = "bundle"


# Members that earlier versions do not know.
LATER: Final = frozenset({"files", "files_missing", "privileges", "extensions", "extensions_elsewhere", "moment"})


class StoredFile(BaseModel):
    """The record of a file: JSON beside it. ``file`` is its path in the store, ``size`` its size in bytes."""

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
        """Return the id among the files of the tenant: the name of the file without its last suffix."""
        return PurePosixPath(self.file).stem

    @property
    def path(self) -> str:
        """Return the path of the record in the store."""
        return self.file + RECORD_SUFFIX


class BackupRecord(StoredFile):
    """The record of a dump, in the engine's own format.

    ``fingerprint`` is that of the dumped structure, and ``fingerprint_method`` says how it was made.
    ``server`` and ``tool`` are the versions that made it. On SQLite, both are the version of the library. ``files`` is
    the number of the tenant's files, whose content the store keeps beside the dumps, and ``files_missing`` the number
    of those that had no content. ``privileges`` are those of the database on PostgreSQL with its settings, which a dump
    does not carry. If there are none, as in the backups of earlier versions, they are those of the revision.
    ``extensions`` are those of the database on PostgreSQL, which a server that restores the dump has to make, and
    ``extensions_elsewhere`` has the schemas of those that are not in ``public``.
    ``moment`` is whether it was made of a server restored beside, to restore what the tenant had at ``created_at``.
    """

    format: Literal["tenantapp backup", "tenantapp final copy"]
    server: str
    tool: str
    fingerprint: str
    fingerprint_method: str = FIRST_METHOD
    files: Annotated[int, Field(ge=0)] = 0
    files_missing: Annotated[int, Field(ge=0)] = 0
    privileges: dict[str, str] = Field(default_factory=dict)
    extensions: tuple[str, ...] = ()
    extensions_elsewhere: dict[str, str] = Field(default_factory=dict)
    moment: bool = False

    @model_serializer(mode="wrap")
    def _without_empty(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out what earlier versions do not know, if there is none of it."""
        written: dict[str, Any] = write(self)
        return {name: value for name, value in written.items() if value or name not in LATER}


class FinalCopy(BackupRecord):
    """The record of a dump that is proved before a tenant is removed. ``rows`` counts the rows of all tables."""

    format: Literal["tenantapp final copy"]
    rows: Annotated[int, Field(ge=0)]


class FinalBundle(StoredFile):
    """The record of a final bundle, which earlier versions made in place of a final copy."""

    format: Literal["tenantapp final bundle"]
    rows: Annotated[int, Field(ge=0)]
