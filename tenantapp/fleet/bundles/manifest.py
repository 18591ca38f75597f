"""The manifest of a bundle."""

from datetime import datetime
from typing import Annotated, Final, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, FailFast, Field

from tenantapp.fleet.bundles.kinds import Kind

FORMAT: Final = "tenantapp bundle"
VERSION: Final = 4
# The versions of bundles without files and sequences, and without sequences: earlier programs read them.
WITHOUT_FILES: Final = 1
WITHOUT_SEQUENCES: Final = 2
WITHOUT_EXTENSIONS: Final = 3
WITH_VIEWS: Final = 3  # the first version that knows which materialized views hold rows


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class BundledColumn(_Strict):
    """A column and its type. If that is ``other``, ``of`` is PostgreSQL's name of it."""

    name: str
    type: Annotated[Kind, Field(strict=False)]
    of: str | None = None


class BundledTable(_Strict):
    """A table: its columns in the order of the values, its number of rows, and the SHA-256 of its uncompressed file.

    ``counters`` has the last number that each autoincrement column has issued, by the name of the column.
    """

    name: str
    file: str
    columns: Annotated[tuple[BundledColumn, ...], Field(strict=False), FailFast()]
    rows: Annotated[int, Field(ge=0)]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    counters: dict[str, int]


class BundledFile(_Strict):
    """A file of the tenant: the name of its content in the archive, its size in bytes, and its SHA-256."""

    id: Annotated[UUID, Field(strict=False)]
    file: str
    size: Annotated[int, Field(ge=0)]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class BundledSequence(_Strict):
    """A sequence of PostgreSQL: the last number, and whether it was issued or is the next one."""

    name: str
    last: int
    issued: bool


class BundledTenant(_Strict):
    """The slug and the name of the tenant."""

    slug: str
    name: str


class Manifest(_Strict):
    """The content of ``manifest.json``. ``files`` are those whose content is in the bundle.

    ``sequences`` and ``materialized_views`` are those of PostgreSQL; of the latter it has the names of those that hold
    rows. Before version 3 a bundle does not know them. ``extensions`` are those that the role of a server has made,
    which are needed wherever the bundle is loaded on PostgreSQL.
    """

    format: Literal["tenantapp bundle"]
    version: Literal[1, 2, 3, 4]
    created_at: Annotated[datetime, Field(strict=False)]
    tenantapp: str
    domain: str
    revision: str
    engine: str
    tenant: BundledTenant
    tables: Annotated[tuple[BundledTable, ...], Field(strict=False), FailFast()]
    files: Annotated[tuple[BundledFile, ...], Field(strict=False), FailFast()] = ()
    sequences: Annotated[tuple[BundledSequence, ...], Field(strict=False), FailFast()] = ()
    materialized_views: Annotated[tuple[str, ...], Field(strict=False), FailFast()] = ()
    extensions: Annotated[tuple[str, ...], Field(strict=False), FailFast()] = ()

    @property
    def rows(self) -> int:
        """Return the number of rows in all tables."""
        return sum(table.rows for table in self.tables)
