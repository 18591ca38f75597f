"""Ask PostgreSQL servers about their standbys every half minute, and report it, for all processes to show."""

import logging
from collections.abc import Iterator
from dataclasses import asdict
from datetime import timedelta
from typing import Any, Final

from sqlalchemy.engine import URL

from tenantapp.databases.servers.standbys import standbys_of
from tenantapp.operations.errors import FleetError
from tenantapp.operations.fleet import Fleet
from tenantapp.operations.replication import USER_DATABASE
from tenantapp.operations.reports import Subject, list_reports, report
from tenantapp.tenancy.servers import PostgresServer

log = logging.getLogger(__name__)
EVERY: Final = timedelta(seconds=30)


def report_replication(fleet: Fleet) -> None:
    """Ask the servers that no worker has asked of late: a chore of workers. One that does not answer is reported so.

    Raises what the user database raises.
    """
    with fleet.user_db.begin(read_only=True) as session:
        recent = {each.name for each in list_reports(session, Subject.REPLICATION, EVERY)}
    for name, url in _servers(fleet):
        if name not in recent:
            content = _asked(url, name)
            with fleet.user_db.begin() as session:
                report(session, Subject.REPLICATION, name, content)


def _servers(fleet: Fleet) -> Iterator[tuple[str, URL]]:
    user = fleet.settings.user_db_url
    places = set()
    for name, server in fleet.servers.items():
        if isinstance(server, PostgresServer):
            places.add(_place(server.url))
            yield name, server.url
    if user.get_backend_name() == "postgresql" and _place(user) not in places:
        yield USER_DATABASE, user


def _place(url: URL) -> tuple[Any, ...]:
    return url.host, url.port, url.query.get("host"), url.query.get("port")


def _asked(url: URL, name: str) -> dict[str, Any]:
    try:
        return {"standbys": [asdict(each) for each in standbys_of(url, name)]}
    except FleetError as error:
        log.warning("The standbys of %s are not known: %s", name, error)
        return {"standbys": None}
