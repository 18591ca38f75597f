"""An operator, and what became of their requests."""

from typing import Any

from tenantapp.identity.audit import list_entries
from tenantapp.identity.models import User
from tests.installation import PASSWORD_HASH, Client, Installation


def add_operator(installation: Installation) -> Client:
    """An operator without a role in any tenant, signed in."""
    with installation.registry.user_db.begin() as session:
        session.add(User(login="otto", name="Otto", password_hash=PASSWORD_HASH, operator=True))
    return Client(installation.app).sign_in("otto")


def trail(installation: Installation, actor: str = "otto") -> list[tuple[str, str | None]]:
    """Actions and slugs of somebody, oldest first, but for signing in and out."""
    with installation.registry.user_db.begin(read_only=True) as session:
        entries = reversed(list_entries(session, actor=actor))
        return [(each.action, each.slug) for each in entries if not each.action.startswith("session.")]


def code(answer: Any) -> tuple[int, str]:
    return answer.status_int, answer.json["code"]
