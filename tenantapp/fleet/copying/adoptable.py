"""Check whether a foreign database can become that of a tenant."""

from dataclasses import replace
from pathlib import Path
from typing import Final, NamedTuple

from sqlalchemy import select
from sqlalchemy.engine import Connection
from sqlalchemy.orm import Session

from tenantapp.databases.histories.histories import head_revision, heads_of
from tenantapp.databases.schemas.expected import check_revision
from tenantapp.databases.schemas.structure import Structure, found_in
from tenantapp.fleet.backups.restored_forms import Side, structure_differences
from tenantapp.fleet.bundles.tables import OURS
from tenantapp.fleet.copying.checks import expected_on, found_on
from tenantapp.fleet.copying.originals import Original, identities_of
from tenantapp.fleet.errors import CopyRefused
from tenantapp.identity.models import Tenant
from tenantapp.operations.checkpoints import checkpoint
from tenantapp.operations.fleet import Fleet
from tenantapp.tenancy.servers import Server, SqliteServer

# The tables that it may lack, by their names in a structure.
MAY_LACK: Final = frozenset(f"table {name}" for name in OURS)


class _Found(NamedTuple):
    """What a database contains and records about itself."""

    side: Side
    heads: tuple[str, ...]
    identities: list[str]


@checkpoint("adoption.check")
def check_adoptable(fleet: Fleet, server: Server, original: Original, database: str, revision: str | None) -> str:
    """Return the revision that a database records, or else ``revision``, or else the newest.

    Raises ``CopyRefused`` if the database belongs to a tenant, records another revision than ``revision``, or does not
    have the structure of its revision. Also raises ``UnknownRevision`` and what reading it raises.
    """
    with original.reading() as connection:
        found = _read(server, connection, original.name)
    with fleet.user_db.begin(read_only=True) as session:
        _check_nobodys(session, server, database, found.identities)
    at = _revision(found.heads, original.name, revision) or head_revision(fleet.settings, "tenant")
    check_revision(fleet.settings, at)
    # The copy gets the privileges and settings of the revision, whatever those of the original are. But a dump has the
    # roles that policies are for.
    expected = _without_lacking(expected_on(fleet, server, at), found.side.structure)
    findings = structure_differences(fleet, expected, found.side)
    if findings:
        raise CopyRefused(f"{_capital(original.name)} lacks the structure of revision {at}: {found_in(findings)}.")
    return at


def _read(server: Server, connection: Connection, name: str) -> _Found:
    side = found_on(server, connection, name)
    return _Found(replace(side, structure=side.structure.dumped), heads_of(connection), identities_of(connection))


def _check_nobodys(session: Session, server: Server, database: str, identities: list[str]) -> None:
    """Raise ``CopyRefused`` if it is the database of one of our tenants, or has the data of one."""
    for tenant in session.scalars(select(Tenant)):
        is_its_place = tenant.server == server.name and _is_same(server, tenant.database, database)
        # A former database of a tenant keeps the identity, with the mark of a closed database before it.
        if is_its_place or any(identity.endswith(tenant.id.hex) for identity in identities):
            raise CopyRefused(f"The database {database} is that of the tenant {tenant.slug}; use `tenants clone`.")


def _is_same(server: Server, known: str, database: str) -> bool:
    if isinstance(server, SqliteServer):
        return server.path(known).resolve() == Path(database).resolve()
    return known == database


def _revision(heads: tuple[str, ...], name: str, given: str | None) -> str | None:
    if len(heads) > 1:
        raise CopyRefused(f"{_capital(name)} is at several revisions at once.")
    if heads and given is not None and heads[0] != given:
        raise CopyRefused(f"{_capital(name)} records revision {heads[0]}, not {given}.")
    return heads[0] if heads else given


def _without_lacking(expected: Side, found: Structure) -> Side:
    """Return the expected structure without those of our tables that the found structure lacks."""
    lacking = MAY_LACK - {part.thing for part in found.parts}
    parts = tuple(part for part in expected.structure.dumped.parts if part.thing not in lacking)
    return replace(expected, structure=Structure(parts))


def _capital(name: str) -> str:
    return name[0].upper() + name[1:]
