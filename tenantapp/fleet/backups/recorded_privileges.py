"""The privileges that a restored database gets. A record is not believed in more than the history says as well."""

from collections.abc import Mapping
from typing import NamedTuple

from tenantapp.databases.errors import PrivilegesNotCarried
from tenantapp.databases.privileges.statements import NotUnderstood, gives_others, known_only
from tenantapp.databases.schemas.expected import expected_privileges
from tenantapp.databases.schemas.structure import found_in
from tenantapp.fleet.backups.records import BackupRecord
from tenantapp.fleet.errors import BackupRefused
from tenantapp.operations.fleet import Fleet
from tenantapp.tenancy.servers import Server, SqliteServer


class Recorded(NamedTuple):
    """The privileges to be given, and a line for each that is left out."""

    given: Mapping[str, str]
    left_out: list[str]


def recorded_privileges(fleet: Fleet, server: Server, record: BackupRecord, *, accept_drift: bool = False) -> Recorded:
    """Return the privileges and settings of a backup, or if its record has none, those of its revision.

    They give nothing to other roles or to PUBLIC, and set nothing, that its revision does not: that is left out if
    drift is accepted. Raises ``BackupRefused``, ``PrivilegesNotCarried`` and what ``expected_privileges`` raises.
    """
    if isinstance(server, SqliteServer) or record.engine == "sqlite":
        return Recorded({}, [])
    if not record.privileges:
        return Recorded(expected_privileges(fleet, server, record.revision), [])
    try:
        if not gives_others(record.privileges):
            return Recorded(record.privileges, [])
        known = expected_privileges(fleet, server, record.revision)
        recorded = Recorded(*known_only(record.privileges, known))
    except NotUnderstood as error:
        raise PrivilegesNotCarried(f"the backup {record.id}", str(error)) from error
    if recorded.left_out and not accept_drift:
        raise BackupRefused(
            f"it has privileges or settings that revision {record.revision} does not give: "
            f"{found_in(recorded.left_out)}; --accept-drift restores it without them"
        )
    return recorded
