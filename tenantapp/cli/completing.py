"""What the shell completes: names that the user database, or the settings, know.

A shell asks while somebody types. So nothing is ever printed but names, and where the database does not answer soon
there are none.
"""

import os
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Timer
from typing import TYPE_CHECKING, Any, Final

import click

from tenantapp.cli.installation import Installation

if TYPE_CHECKING:
    from sqlalchemy.orm import InstrumentedAttribute, Session

MOST: Final = 200  # names; nobody chooses from more
PATIENCE: Final = 3.0  # seconds

Find = Callable[[Installation, str], Iterable[Any]]
Complete = Callable[[click.Context, click.Parameter, str], list[str]]


def _completing(find: Find) -> Complete:
    """Make what click asks of a function that finds names, given how they begin."""

    def complete(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
        warnings.simplefilter("ignore")
        try:
            with closing(Installation(Path(context.find_root().params["ini"]))) as installation:
                return [str(name) for name in find(installation, incomplete)]
        except (Exception, SystemExit):
            return []

    return complete


@contextmanager
def _asked(installation: Installation) -> Iterator["Session"]:
    """A session on the user database, which is given up after a while."""
    # The driver may wait for a server in a call that nothing else ends.
    timer = Timer(PATIENCE, os._exit, (0,))
    timer.daemon = True
    timer.start()
    try:
        with installation.user_session(read_only=True) as session:
            yield session
    finally:
        timer.cancel()


def _beginning(installation: Installation, column: "InstrumentedAttribute[Any]", beginning: str) -> list[str]:
    from sqlalchemy import select

    names = select(column).where(column.startswith(beginning, autoescape=True)).order_by(column).limit(MOST)
    with _asked(installation) as session:
        return list(session.scalars(names))


def _slugs(installation: Installation, beginning: str) -> Iterable[str]:
    from tenantapp.identity.models import Tenant

    return _beginning(installation, Tenant.slug, beginning)


def _logins(installation: Installation, beginning: str) -> Iterable[str]:
    from tenantapp.identity.models import User

    return _beginning(installation, User.login, beginning)


def _groups(installation: Installation, beginning: str) -> Iterable[str]:
    from tenantapp.identity.models import Group

    return _beginning(installation, Group.name, beginning)


def _grantees(installation: Installation, beginning: str) -> Iterable[str]:
    if beginning.startswith("@"):
        return [f"@{name}" for name in _groups(installation, beginning[1:])]
    return _logins(installation, beginning)


def _roles(installation: Installation, beginning: str) -> Iterable[str]:
    from tenantapp.identity.models import Role

    return _beginning(installation, Role.name, beginning)


def _servers(installation: Installation, beginning: str) -> Iterable[str]:
    return [name for name in installation.settings.servers if name.startswith(beginning)]


def _operations(installation: Installation, beginning: str) -> Iterable[str]:
    from tenantapp.operations.queue import list_operations

    with _asked(installation) as session:
        found = [str(operation.id) for operation in list_operations(session, limit=MOST)]
    return [name for name in found if name.startswith(beginning)]


slugs: Final = _completing(_slugs)
logins: Final = _completing(_logins)
groups: Final = _completing(_groups)
grantees: Final = _completing(_grantees)
roles: Final = _completing(_roles)
servers: Final = _completing(_servers)
operation_ids: Final = _completing(_operations)
