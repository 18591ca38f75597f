"""How far the sequences of a PostgreSQL database are: read for a bundle, and set again from one."""

from typing import Final

from sqlalchemy import func, select
from sqlalchemy.engine import Connection

from tenantapp.fleet.bundles.manifest import BundledSequence

# Also those that no column owns. Names are as the server quotes them.
SEQUENCES: Final = """
SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'S' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
    AND NOT EXISTS (SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass AND objid = c.oid AND deptype = 'e')
ORDER BY 1
"""


def read_sequences(connection: Connection) -> tuple[BundledSequence, ...]:
    """Return all sequences, by name, as they are in this transaction."""
    return tuple(_read(connection, name) for name in _names(connection))


def set_sequences(connection: Connection, sequences: tuple[BundledSequence, ...]) -> None:
    """Set the sequences as a bundle has them. Raises ``ValueError`` if the database has others."""
    names = _names(connection)
    for other in sorted(set(names) ^ {each.name for each in sequences}):
        raise ValueError(f"the sequence {other} is in the bundle or in the revision, and not in both")
    for each in sequences:
        connection.scalar(select(func.setval(each.name, each.last, each.issued)))


def _names(connection: Connection) -> list[str]:
    return list(connection.exec_driver_sql(SEQUENCES.replace("%", "%%")).scalars())


def _read(connection: Connection, name: str) -> BundledSequence:
    asked = f"SELECT last_value, is_called FROM {name}"  # noqa: S608 - the server quoted it
    last, issued = connection.exec_driver_sql(asked.replace("%", "%%")).one()
    return BundledSequence(name=name, last=last, issued=issued)
