"""The audit trail is sealed, and refuses to be altered.

Revision ID: 9e3d51c7a08b
Revises: 2d6e8b94f1a3
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "9e3d51c7a08b"
down_revision: str | Sequence[str] | None = "2d6e8b94f1a3"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

SEAL = ("position", "previous", "hash", "salt", "erased")
FIXED = ("id", "at", "actor_id", "action", "tenant_id", "slug", "request_id")
MAY_NAME_SOMEBODY = ("actor", "address", "detail")
# What each trigger refuses, unless its condition holds. The same words on both engines.
ENTRY_CHANGED = "an entry of the audit trail cannot be changed"
ENTRY_DELETED = "an entry of the audit trail can only be deleted by a sweep"
CHAIN_CHANGED = "a chain of the audit trail only grows"


def upgrade() -> None:
    """Move to this revision."""
    op.create_table(
        "audit_chains",
        sa.Column("chain", sa.Uuid(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("key", sa.LargeBinary(length=32), nullable=True),
        sa.Column("signature", sa.LargeBinary(length=64), nullable=True),
        sa.Column("swept_position", sa.BigInteger(), nullable=False),
        sa.Column("swept_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("swept_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("swept_key", sa.LargeBinary(length=32), nullable=True),
        sa.Column("swept_signature", sa.LargeBinary(length=64), nullable=True),
        sa.Column("streamed", sa.BigInteger(), nullable=False),
        sa.Column("streaming_until", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("chain", name=op.f("pk_audit_chains")),
    )
    op.create_table(
        "forgettings",
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("begun_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("user_id", name=op.f("pk_forgettings")),
    )
    op.add_column("audit_entries", sa.Column("position", sa.BigInteger(), nullable=True))
    op.add_column("audit_entries", sa.Column("previous", sa.LargeBinary(length=32), nullable=True))
    op.add_column("audit_entries", sa.Column("hash", sa.LargeBinary(length=32), nullable=True))
    op.add_column("audit_entries", sa.Column("salt", sa.LargeBinary(length=16), nullable=True))
    op.add_column("audit_entries", sa.Column("erased", sa.JSON(), nullable=True))
    op.drop_index("ix_audit_entries_tenant_id", "audit_entries")
    op.create_index("ix_audit_entries_tenant_id_position", "audit_entries", ["tenant_id", "position"])
    unsealed = sa.text("hash IS NULL")
    op.create_index(
        "ix_audit_entries_unsealed", "audit_entries", ["id"], postgresql_where=unsealed, sqlite_where=unsealed
    )
    _add_triggers(is_postgres=op.get_bind().dialect.name == "postgresql")


def downgrade() -> None:
    """Move back to the one before. The chains are lost; the entries stay."""
    if op.get_bind().dialect.name == "postgresql":
        for table in ("audit_entries", "audit_chains"):
            op.execute(f"DROP TRIGGER {table}_kept ON {table}")
            op.execute(f"DROP TRIGGER {table}_not_emptied ON {table}")
            op.execute(f"DROP FUNCTION {table}_kept()")
        op.execute("DROP FUNCTION audit_not_emptied()")
    else:
        for table in ("audit_entries", "audit_chains"):
            op.execute(f"DROP TRIGGER {table}_kept")
            op.execute(f"DROP TRIGGER {table}_not_deleted")
    op.drop_index("ix_audit_entries_unsealed", "audit_entries")
    op.drop_index("ix_audit_entries_tenant_id_position", "audit_entries")
    op.create_index("ix_audit_entries_tenant_id", "audit_entries", ["tenant_id"])
    for column in SEAL:
        op.drop_column("audit_entries", column)
    op.drop_table("forgettings")
    op.drop_table("audit_chains")


def _add_triggers(*, is_postgres: bool) -> None:
    same = "IS NOT DISTINCT FROM" if is_postgres else "IS"

    def unchanged(columns: Sequence[str]) -> str:
        as_text = "::text" if is_postgres else ""  # PostgreSQL compares no JSON
        return " AND ".join(f"OLD.{column}{as_text} {same} NEW.{column}{as_text}" for column in columns)

    is_forgetting = "EXISTS (SELECT 1 FROM forgettings WHERE finished_at IS NULL)"
    nobody = "CAST('00000000-0000-0000-0000-000000000000' AS uuid)" if is_postgres else f"'{'0' * 32}'"
    sealing = f"OLD.hash IS NULL AND NEW.hash IS NOT NULL AND {unchanged((*FIXED, *MAY_NAME_SOMEBODY, 'erased'))}"
    erasing = f"{unchanged((*FIXED, 'position', 'previous', 'hash'))} AND {is_forgetting}"
    swept = "OLD.position <= (SELECT swept_position FROM audit_chains WHERE chain = COALESCE(OLD.tenant_id, NOBODY))"
    swept = swept.replace("NOBODY", nobody)
    growing = (
        "OLD.chain = NEW.chain AND OLD.position <= NEW.position AND OLD.swept_position <= NEW.swept_position"
        " AND OLD.streamed <= NEW.streamed"
    )
    entries = (f"({sealing}) OR ({erasing})", swept, ENTRY_CHANGED, ENTRY_DELETED)
    chains = (growing, "1 = 0", CHAIN_CHANGED, CHAIN_CHANGED)
    for table, rules in (("audit_entries", entries), ("audit_chains", chains)):
        for statement in (_on_postgres if is_postgres else _on_sqlite)(table, *rules):
            op.execute(sa.text(statement.replace(":", "\\:")))
    if is_postgres:
        op.execute(
            "CREATE FUNCTION audit_not_emptied() RETURNS trigger LANGUAGE plpgsql AS $$"
            f" BEGIN RAISE EXCEPTION '{ENTRY_DELETED}' USING ERRCODE = 'restrict_violation'; END $$"
        )
        for table in ("audit_entries", "audit_chains"):
            op.execute(
                f"CREATE TRIGGER {table}_not_emptied BEFORE TRUNCATE ON {table}"
                " FOR EACH STATEMENT EXECUTE FUNCTION audit_not_emptied()"
            )


def _on_postgres(table: str, may_update: str, may_delete: str, changed: str, deleted: str) -> list[str]:
    return [
        f"CREATE FUNCTION {table}_kept() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        f" IF TG_OP = 'UPDATE' THEN"
        f" IF {may_update} THEN RETURN NEW; END IF;"
        f" RAISE EXCEPTION '{changed}' USING ERRCODE = 'restrict_violation';"
        f" END IF;"
        f" IF {may_delete} THEN RETURN OLD; END IF;"
        f" RAISE EXCEPTION '{deleted}' USING ERRCODE = 'restrict_violation';"
        f" END $$",
        f"CREATE TRIGGER {table}_kept BEFORE UPDATE OR DELETE ON {table} FOR EACH ROW EXECUTE FUNCTION {table}_kept()",
    ]


def _on_sqlite(table: str, may_update: str, may_delete: str, changed: str, deleted: str) -> list[str]:
    return [
        f"CREATE TRIGGER {table}_kept BEFORE UPDATE ON {table}"
        f" WHEN NOT COALESCE({may_update}, 0) BEGIN SELECT RAISE(ABORT, '{changed}'); END",
        f"CREATE TRIGGER {table}_not_deleted BEFORE DELETE ON {table}"
        f" WHEN NOT COALESCE({may_delete}, 0) BEGIN SELECT RAISE(ABORT, '{deleted}'); END",
    ]
