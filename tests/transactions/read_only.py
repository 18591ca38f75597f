"""What is asked of an application whose databases may only be read."""

from datetime import timedelta
from typing import Any

from tenantapp.identity.models import ApiToken, WebSession
from tenantapp.sql.times import utcnow
from tests.installation import PASSWORD, Client, Installation

SIGN_IN = {"login": "bob", "password": PASSWORD}


def assert_refused(answer: Any, code: str) -> None:
    assert (answer.status_int, answer.json["code"]) == (503, code), answer.text
    assert "read-only" in answer.json["detail"]
    assert int(answer.headers["Retry-After"]) > 0


def status_of_heartbeat(client: Client) -> int:
    return int(client.http.get("/__heartbeat__", expect_errors=True).status_int)


def grow_old(installation: Installation) -> None:
    """Let every web session and API token be a minute old, so that a request writes when it was last used."""
    with installation.registry.user_db.begin() as session:
        session.query(WebSession).update({"last_seen_at": utcnow() - timedelta(minutes=2)})
        session.query(ApiToken).update({"last_used_at": utcnow() - timedelta(minutes=2)})
