"""The comment in an empty revision: how its migration moves data, on both engines."""

from pathlib import Path
from typing import Final

NOTHING: Final = "    pass\n"  # what Alembic's template writes where there is nothing to do
UP: Final = """\
    # Move data here, in the structure of the revision before. It runs in one transaction, on PostgreSQL and SQLite.
    # Declare the tables with the columns that you need. Do not import models: they change, and this must not.
    #
    #     things = sa.table("things", sa.column("id", sa.Uuid()), sa.column("name", sa.String()))
    #
    # What SQL can compute, one statement does:
    #
    #     op.execute(things.update().where(things.c.name == "").values(name="Unnamed"))
    #
    # What Python computes needs the rows. Read a part of them at a time if there may be many:
    #
    #     connection = op.get_bind()
    #     for row in connection.execute(sa.select(things).where(things.c.name.like(" %"))).all():
    #         connection.execute(things.update().where(things.c.id == row.id).values(name=row.name.strip()))
    #
    # If the engines need different SQL, ask op.get_context().dialect.name: "postgresql" or "sqlite".
"""
DOWN: Final = """\
    # Move the data back, or leave this empty if the older structure can use them as they are.
    # If they cannot be moved back, raise an exception, so that a downgrade changes nothing.
"""


def explain(path: Path) -> None:
    """Write the comment into the two functions of an empty revision, as far as its template left them empty."""
    parts = path.read_text().split(NOTHING)
    texts = [UP, DOWN][: len(parts) - 1]
    written = "".join(part + text + NOTHING for part, text in zip(parts, texts, strict=False))
    path.write_text(written + NOTHING.join(parts[len(texts) :]))
