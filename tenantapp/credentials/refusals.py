"""Record who was refused: in the log each time, and in the audit trail without letting a flood fill it."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from tenantapp.characters import visible
from tenantapp.credentials.errors import InvalidCode, TooManyAttempts, WrongOldPassword
from tenantapp.identity import audit
from tenantapp.identity.errors import InvalidCredentials
from tenantapp.identity.models import LOGIN_LENGTH
from tenantapp.tenancy.access import Actor
from tenantapp.tenancy.dbfactory import DBFactory

log = logging.getLogger(__name__)

REFUSED: Final = "session.refuse"
LOGIN_SHOWN: Final = LOGIN_LENGTH  # of what was typed: a whole login is found when its person is forgotten


@contextmanager
def recorded_refusals(user_db: DBFactory, actor: Actor, login: str) -> Iterator[None]:
    """Record that the block refuses this login, which is what was typed. The error goes on.

    Each entry of the audit trail is a transaction of its own: it stays although the request changes nothing. Attempts
    that were checked have an entry each: the throttle bounds them. Of those that the throttle refused, the 1st, 10th,
    100th and so on of each wait have one, with their number.
    """
    try:
        yield
    except (InvalidCredentials, InvalidCode, WrongOldPassword) as error:
        _log(actor, login, error.reason)
        _write(user_db, actor, login, error.reason)
        raise
    except TooManyAttempts as error:
        reason = f"too many attempts: {error.reason}"
        _log(actor, login, reason)
        if _is_power_of_ten(error.refused):
            _write(user_db, actor, login, reason, refused=error.refused)
        raise


def _log(actor: Actor, login: str, reason: str) -> None:
    fields = {"login": _shown(login), "address": actor.address, "reason": reason}
    log.warning("Request %s: %s was refused: %s", actor.request_id, fields["login"], reason, extra=fields)


def _write(user_db: DBFactory, actor: Actor, login: str, reason: str, **more: Any) -> None:
    with audit.recording(user_db, actor) as session:
        audit.record(session, REFUSED, detail={"login": _shown(login), "reason": reason, **more})


def _shown(login: str) -> str:
    return visible(login[:LOGIN_SHOWN])


def _is_power_of_ten(number: int) -> bool:
    return str(number).strip("0") == "1"
