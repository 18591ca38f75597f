"""Differences between models and a SQLite database that are none, which autogenerate leaves out.

They are in databases that were not made by our migrations, and mean the same on both engines.
"""

from typing import Any, Final

from alembic.autogenerate import comparators
from alembic.autogenerate.api import AutogenContext
from alembic.operations.ops import AlterColumnOp, CreateUniqueConstraintOp, ModifyTableOps, UpgradeOps
from alembic.util import DispatchPriority
from sqlalchemy.engine import Connection

# SQLAlchemy does not find all constraints that have no name.
UNIQUES: Final = """
SELECT m.name, l.name, i.name FROM sqlite_master m, pragma_index_list(m.name) l, pragma_index_info(l.name) i
WHERE m.type = 'table' AND l.origin = 'u' ORDER BY m.name, l.seq DESC, i.seqno
"""


def sqlite_uniques(connection: Connection) -> dict[str, list[list[str]]]:
    """Return the columns of the unique constraints of a SQLite database, by the name of the table."""
    keys: dict[tuple[str, str], list[str]] = {}
    for table, index, column in connection.exec_driver_sql(UNIQUES):
        keys.setdefault((table, index), []).append(column)
    found: dict[str, list[list[str]]] = {}
    for (table, _), columns in keys.items():
        found.setdefault(table, []).append(columns)
    return found


@comparators.dispatch_for("column", priority=DispatchPriority.LAST)
def _leave_out_null_of_keys(
    context: AutogenContext, alter: AlterColumnOp, schema: Any, table: Any, name: Any, found: Any, wanted: Any
) -> None:
    """Say nothing of a primary key that may be null: SQLite permits that, and PostgreSQL never does."""
    if wanted.primary_key:
        alter.modify_nullable = None


@comparators.dispatch_for("schema", priority=DispatchPriority.LAST)
def _leave_out_unnamed_uniques(context: AutogenContext, upgrade: UpgradeOps, schemas: Any) -> None:
    """Do not add a unique constraint that a SQLite database has without a name."""
    if context.connection is None or context.dialect is None or context.dialect.name != "sqlite":
        return
    changed = [each for each in upgrade.ops if isinstance(each, ModifyTableOps)]
    found = sqlite_uniques(context.connection) if changed else {}
    for table in changed:
        there = found.get(table.table_name, [])
        table.ops = [
            each
            for each in table.ops
            if not (isinstance(each, CreateUniqueConstraintOp) and list(map(str, each.columns)) in there)
        ]
    upgrade.ops = [each for each in upgrade.ops if not (isinstance(each, ModifyTableOps) and each.is_empty())]
