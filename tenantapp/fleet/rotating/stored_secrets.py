"""Encrypt what is stored encrypted again, under the present ``tenancy.secret``. See ``identity.encrypted``."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import InstrumentedAttribute, Session

from tenantapp.credentials.authenticator_apps import TOTP
from tenantapp.credentials.models import AuthenticatorApp
from tenantapp.federation.models import IdentityProvider
from tenantapp.federation.providers import PURPOSE
from tenantapp.fleet.rotating.results import Rotated
from tenantapp.identity.encrypted import Undecipherable, encrypt_again, secrets_of
from tenantapp.identity.models import Tenant, User
from tenantapp.operations.fleet import Fleet

AT_ONCE: Final = 200  # rows in one transaction
MOST_NAMED: Final = 10  # of those that cannot be read


@dataclass(frozen=True, slots=True)
class _Kind:
    """One kind of stored secret. ``key`` is the row that has it, and ``owner`` with the id ``owner_id`` has a name.

    ``purpose`` is as in ``encrypted.encrypt``. ``remedy`` is what becomes of one that cannot be read.
    """

    what: str
    purpose: str
    key: InstrumentedAttribute[UUID]
    stored: InstrumentedAttribute[Any]
    owner_id: InstrumentedAttribute[UUID]
    names: tuple[InstrumentedAttribute[UUID], InstrumentedAttribute[str]]
    remedy: str


KINDS: Final = (
    _Kind(
        what="secrets of authenticator apps",
        purpose=TOTP,
        key=AuthenticatorApp.user_id,
        stored=AuthenticatorApp.secret,
        owner_id=AuthenticatorApp.user_id,
        names=(User.id, User.login),
        remedy="Remove their factors with `tenantapp users factors LOGIN --remove`",
    ),
    _Kind(
        what="secrets of identity providers",
        purpose=PURPOSE,
        key=IdentityProvider.id,
        stored=IdentityProvider.client_secret,
        owner_id=IdentityProvider.tenant_id,
        names=(Tenant.id, Tenant.slug),
        remedy="Their administrators enter them again",
    ),
)


def rotate_stored_secrets(fleet: Fleet, advance: Callable[[], Any]) -> Iterator[Rotated]:
    """Encrypt each stored secret again that is not encrypted under the present one. Yield a result for each kind.

    What cannot be read is left as it is, named in the error of the result, and keeps no other from its turn. Raises
    ``UserDatabaseUnavailable``.
    """
    secrets = secrets_of(fleet.settings)
    for kind in KINDS:
        changed, unread = 0, list[str]()
        with fleet.user_db.begin(read_only=True) as session:
            keys = list(session.scalars(select(kind.key).where(kind.stored.is_not(None)).order_by(kind.key)))
        for start in range(0, len(keys), AT_ONCE):
            with fleet.user_db.begin() as session:
                for row, name in _rows(session, kind, keys[start : start + AT_ONCE]):
                    try:
                        changed += _encrypted_again(kind, row, secrets)
                    except Undecipherable:
                        unread.append(name)
                    advance()
        if changed or unread:
            yield Rotated(kind.what, "the user database", changed, _error(kind, unread))


def _rows(session: Session, kind: _Kind, keys: list[UUID]) -> list[tuple[Any, str]]:
    """Return rows, locked, each with the name of its owner. Those that are gone since are left out."""
    owner, name = kind.names
    rows = select(kind.key.class_, name).join(owner.class_, owner == kind.owner_id).where(kind.key.in_(keys))
    return [(row, named) for row, named in session.execute(rows.order_by(kind.key).with_for_update(of=kind.key.class_))]


def _encrypted_again(kind: _Kind, row: Any, secrets: tuple[str | None, ...]) -> bool:
    """Encrypt the secret of a row again. Return whether it was outdated. Raises ``Undecipherable``."""
    stored = getattr(row, kind.stored.key)
    again = stored if stored is None else encrypt_again(stored, secrets, kind.purpose, str(getattr(row, kind.key.key)))
    setattr(row, kind.stored.key, again)
    return bool(again != stored)


def _error(kind: _Kind, unread: list[str]) -> str | None:
    if not unread:
        return None
    more = f" and {len(unread) - MOST_NAMED} more" if len(unread) > MOST_NAMED else ""
    return f"Those of {', '.join(unread[:MOST_NAMED])}{more} cannot be read. {kind.remedy}"
