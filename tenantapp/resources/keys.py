"""The keys of rows: UUIDs, or whole numbers, as tables have them that were there before."""

from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Column

from tenantapp.resources.filters import integer_range, python_type
from tenantapp.sql.ids import INTEGER_TEXT, UUID_TEXT
from tenantapp.tenancy.row_ids import integer_of

RowId = UUID | int
KEY_TYPES: Final = (UUID, int)


@dataclass(frozen=True)
class Key:
    """The key of a resource's rows, by its column."""

    column: Column[Any]

    @property
    def is_uuid(self) -> bool:
        """Return whether the key is a UUID, which a client may choose; the database counts whole numbers."""
        return python_type(self.column.type) is UUID

    @property
    def pattern(self) -> str:
        """Return the pattern of a key in a path."""
        return UUID_TEXT if self.is_uuid else INTEGER_TEXT

    def read(self, text: str) -> RowId | None:
        """Return the key that a text of this pattern is, or None if no row can have it."""
        if self.is_uuid:
            return UUID(text)
        least, most = integer_range(self.column.type)
        return key if least <= (key := int(text)) <= most else None

    def of_change(self, row_id: UUID) -> RowId:
        """Return the key of a row by its id in the log of changes."""
        return row_id if self.is_uuid else integer_of(row_id)
