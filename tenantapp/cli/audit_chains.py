"""The work of ``audit verify``, ``audit export``, ``audit key`` and ``audit sign``."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from uuid import UUID

import click
from sqlalchemy import select
from sqlalchemy.orm import Session

from tenantapp.audit.checkpoints import SigningKey, signing_key
from tenantapp.audit.exporting import Line, one_moment, trail_lines
from tenantapp.audit.sealing import sign_again
from tenantapp.audit.verifying import Verdict, read_lines, verify_lines
from tenantapp.cli.failures import CommandFailed
from tenantapp.cli.installation import Installation
from tenantapp.identity.audit import record
from tenantapp.identity.errors import NotFound
from tenantapp.identity.models import AuditEntry, Tenant


def own_key(installation: Installation) -> SigningKey:
    """Return the key of the installation. Raises ``CommandFailed`` if it has none."""
    key = signing_key(installation.settings)
    if key is None:
        raise CommandFailed("Without the setting tenancy.secret the audit trail is not signed")
    return key


def verify(
    installation: Installation, file: Path | None, tenant: str | None, keys: Sequence[str], *, as_json: bool
) -> None:
    """Print what is wrong with the trail. Raises ``CommandFailed`` if anything is."""
    trusted = [_public_key(key) for key in keys] or _default_keys(installation)
    with _lines(installation, file, tenant) as lines:
        verdict = verify_lines(lines, trusted)
    if as_json:
        click.echo(json.dumps(asdict(verdict), indent=2))
    else:
        _show(verdict)
    if wrong := len(verdict.findings) + verdict.untold:
        raise CommandFailed(
            f"The audit trail is not what was sealed: {wrong} {'finding' if wrong == 1 else 'findings'}"
        )


def export(installation: Installation, file: Path, tenant: str | None) -> None:
    """Write the trail to a file."""
    count = 0
    with _lines(installation, None, tenant) as lines, file.open("w") as stream:
        for line in lines:
            stream.write(json.dumps(line, separators=(",", ":")) + "\n")
            count += "entry" in line or "unsealed" in line
    with installation.user_session() as session:
        record(session, "audit.export", detail={"entries": count, "tenant": tenant})
    click.echo(f"{count} entries of the audit trail are in {file}.")


def sign(installation: Installation, was: str) -> None:
    """Sign all chains by the present key."""
    trusted = [] if was == "none" else [_public_key(was)]
    with installation.user_session() as session:
        key = own_key(installation)
        count = sign_again(session, key, trusted)
        record(session, "audit.sign", detail={"chains": count, "key": key.public.hex()})
    click.echo(f"{count} {'chain is' if count == 1 else 'chains are'} signed by the present key.")


@contextmanager
def _lines(installation: Installation, file: Path | None, tenant: str | None) -> Iterator[Iterator[Line]]:
    if file is not None:
        yield read_lines(file)
        return
    with one_moment(installation.fleet.user_db) as session:
        yield trail_lines(session, None if tenant is None else _tenant_id(session, tenant))


def _tenant_id(session: Session, named: str) -> UUID:
    """Return the id of a tenant that is there, or of one whose slug or id the trail has."""
    try:
        return UUID(named)
    except ValueError:
        pass
    found: UUID | None = session.scalar(select(Tenant.id).where(Tenant.slug == named))
    if found is None:
        removed = select(AuditEntry.tenant_id).where(AuditEntry.slug == named, AuditEntry.tenant_id.is_not(None))
        found = session.scalar(removed.order_by(AuditEntry.id.desc()).limit(1))
    if found is None:
        raise NotFound("tenant", named)
    return found


def _default_keys(installation: Installation) -> list[bytes]:
    key = signing_key(installation.settings)
    return [] if key is None else [*key.trusted]


def _public_key(text: str) -> bytes:
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if len(key) != 32:
        raise CommandFailed(f"{text} is not a public key: it has 64 hexadecimal digits")
    return key


def _show(verdict: Verdict) -> None:
    for finding in verdict.findings:
        click.echo(f"{finding.kind}: {finding.text} Chain {finding.chain}.")
    if verdict.untold:
        click.echo(f"... and {verdict.untold} more.")
    said = [f"{verdict.entries} entries in {verdict.chains} chains verified"]
    said += [f"{verdict.swept} swept before"] if verdict.swept else []
    said += [f"{verdict.unsealed} not sealed yet"] if verdict.unsealed else []
    said += [f"{verdict.erased} with something erased"] if verdict.erased else []
    said += [] if verdict.signed else ["no signatures checked"]
    click.echo(", ".join(said) + ".")
