"""Read what workers have reported of the standbys of PostgreSQL servers."""

from datetime import timedelta
from typing import Any, Final

from sqlalchemy.orm import Session

from tenantapp.operations.reports import Subject, list_reports

USER_DATABASE: Final = "(user database)"  # what the server of the user database is called, if no tenant is on it
DISCONNECTED: Final = "disconnected"  # the state of a standby that has gone, if its slot was left
SHOWN: Final = timedelta(minutes=2)  # workers ask every half minute


def standbys_by_server(session: Session) -> dict[str, list[dict[str, Any]]]:
    """Return the standbys of each server that answered a worker of late. See ``databases.servers.standbys``."""
    found = list_reports(session, Subject.REPLICATION, SHOWN)
    return {each.name: each.content["standbys"] for each in found if each.content["standbys"] is not None}
