"""Which programs may work with the user database, so that a new version can replace the old one without a stop.

A revision of the user history may take away what older programs use: the second half of an expansion and a contraction.
It says at its top which programs can do without::

    oldest_program = revision

This is a revision that the program's own history must have: the revision itself, or an older one if the programs of an
earlier version do not use any more what it takes away. The user database keeps the last one that has run, in the same
transaction. A program that does not know it does not start. Everything newer that says nothing may be there.
"""

from typing import Any, Final, NamedTuple

from alembic.script import Script, ScriptDirectory
from sqlalchemy import select, update
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError

from tenantapp.databases.histories.histories import history_digest, script_directory
from tenantapp.databases.models import Installation
from tenantapp.settings import Settings, SettingsError
from tenantapp.sql.errors import SqlError
from tenantapp.tenancy.dbfactory import DBFactory
from tenantapp.tenancy.errors import TenancyError

ATTRIBUTE: Final = "oldest_program"


class ProgramTooOld(SettingsError):
    """A newer version has taken away from the user database what this program uses. The message says what to do."""


class Left(NamedTuple):
    """Revisions that were not run, because the first one takes away what programs without ``oldest_program`` use.

    ``needed`` is the first of them that this version needs, or None: those that only take away can wait.
    """

    first: str
    oldest_program: str
    needed: str | None


def oldest_program(user_db: DBFactory) -> str | None:
    """Return the revision that programs must know, or None: also if the user database does not answer, or is older."""
    try:
        with user_db.begin(read_only=True) as session:
            return session.scalar(select(Installation.oldest_program))
    except (DBAPIError, SqlError, TenancyError):
        return None


def refuse_old_program(settings: Settings, user_db: DBFactory) -> None:
    """Raise ``ProgramTooOld`` if the user database is for newer programs than this one."""
    needed = oldest_program(user_db)
    if needed is not None and needed not in history_digest(settings, "user").revisions:
        raise ProgramTooOld(
            f"The user database is for newer programs, which know its revision {needed}: install the version that does"
        )


def record_oldest_program(settings: Settings, connection: Connection, step: Any) -> None:
    """Keep what a step of the user history says about programs, in the transaction of the step.

    ``step`` is Alembic's ``MigrationInfo``. A step down restores what the revisions say that stay.
    """
    revision: Script = step.up_revision
    if (needed := needed_by(revision)) is None:
        return
    if not step.is_upgrade:
        stay = script_directory(settings, "user").iterate_revisions(step.down_revision_ids, "base")
        needed = next((found for each in stay if (found := needed_by(each)) is not None), None)
    connection.execute(update(Installation).values(oldest_program=needed))


def needed_by(revision: Script) -> str | None:
    """Return what a revision says that programs must know, or None."""
    found: str | None = getattr(revision.module, ATTRIBUTE, None)
    return found


def first_to_leave(script: ScriptDirectory, found: str, head: str) -> tuple[str, Left] | None:
    """Return up to where a database may go while older programs work with it, and what is left. None: up to the head.

    ``found`` is where the database is.
    """
    pending = [*script.iterate_revisions(head, found)][::-1]
    place = next((place for place, each in enumerate(pending) if needed_by(each) is not None), None)
    if place is None:
        return None
    needed = next((each.revision for each in pending[place:] if needed_by(each) is None), None)
    left = Left(pending[place].revision, str(needed_by(pending[place])), needed)
    return (pending[place - 1].revision if place else found), left
