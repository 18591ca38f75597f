"""A table with a column of each type: the body of the migration that makes it, and the table."""

import sqlalchemy as sa

from tenantapp.sql.times import UtcDateTime

SAMPLES = """op.create_table(
        "samples",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("words", sa.Text),
        sa.Column("n", sa.BigInteger),
        sa.Column("f", sa.Float),
        sa.Column("d", sa.Numeric(12, 4)),
        sa.Column("b", sa.Boolean),
        sa.Column("u", sa.Uuid),
        sa.Column("raw", sa.LargeBinary),
        sa.Column("at", sa.DateTime),
        sa.Column("at_utc", sa.DateTime(timezone=True)),
        sa.Column("day", sa.Date),
        sa.Column("clock", sa.Time),
        sa.Column("doc", sa.JSON(none_as_null=True)),
        sa.Column("odd name %", sa.String(9), server_default="x", nullable=False),
        sa.Column("other_id", sa.Integer, sa.ForeignKey("samples.id", name="fk_samples_other")),
        sa.Column("twice", sa.BigInteger, sa.Computed("n * 2", persisted=True)),
        sqlite_autoincrement=True,
    )
    op.execute("INSERT INTO samples (words) VALUES ('put there by the migration')")
    if op.get_bind().dialect.name == "postgresql":
        op.execute("CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE ''fired''; END'")
        op.execute("CREATE TRIGGER refusing BEFORE INSERT ON tags FOR EACH ROW EXECUTE FUNCTION refuse()")
        op.execute("ALTER TABLE tags DISABLE TRIGGER refusing; ALTER TABLE tags ENABLE TRIGGER refusing")
    else:
        op.execute("CREATE TRIGGER refusing BEFORE INSERT ON tags BEGIN SELECT RAISE(ABORT, 'fired'); END")"""
samples = sa.Table(
    "samples",
    sa.MetaData(),
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("words", sa.Text),
    sa.Column("n", sa.BigInteger),
    sa.Column("f", sa.Float),
    sa.Column("d", sa.Numeric(12, 4)),
    sa.Column("b", sa.Boolean),
    sa.Column("u", sa.Uuid),
    sa.Column("raw", sa.LargeBinary),
    sa.Column("at", sa.DateTime),
    sa.Column("at_utc", UtcDateTime),
    sa.Column("day", sa.Date),
    sa.Column("clock", sa.Time),
    sa.Column("doc", sa.JSON(none_as_null=True)),
    sa.Column("odd name %", sa.String(9)),
    sa.Column("other_id", sa.Integer),
    sa.Column("twice", sa.BigInteger, sa.Computed("n * 2")),
)
