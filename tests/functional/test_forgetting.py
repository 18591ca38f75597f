"""People choose what they are called. Who is forgotten takes nothing with them that is about others."""

from datetime import timedelta
from email.headerregistry import Address
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from tenantapp.audit import forgetting
from tenantapp.audit.exporting import trail_lines
from tenantapp.audit.forgetting import forget_person, leave
from tenantapp.audit.keeper import Keeper
from tenantapp.audit.sealing import Sealer
from tenantapp.audit.verifying import verify_lines
from tenantapp.identity.audit import record
from tenantapp.identity.errors import InvalidValue
from tenantapp.identity.models import AuditEntry, User
from tenantapp.identity.names import check_login
from tenantapp.identity.users import create_user
from tenantapp.mail.outbox import Letter, queue
from tenantapp.mail.outbox_models import OutgoingMail
from tenantapp.operations.models import Operation, OperationState
from tenantapp.sql.times import utcnow
from tenantapp.tenancy.access import Person
from tests.installation import Installation

# By their login, and the name beside it.
LEAVERS = {"main": "wrong password", "acme": "admin", "may": "Olga Mai"}
OF_OTHERS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("session.refuse", {"login": "ada", "reason": "wrong password"}),
    ("create.request", {"arguments": {"server": "main", "slug": "acme", "name": "may", "administrator": "ada"}}),
    ("tenant.suspend", {"reason": "unpaid since May, says main"}),
    ("member.grant", {"login": "main.may@example.com", "role": "admin", "group": "acme"}),
    ("tenant.rename", {"before": {"slug": "main", "name": "May"}, "after": {"slug": "acme", "name": "Olga Mai"}}),
    ("fleet.query", {"statement": "SELECT may FROM main"}),
    ("token.create", {"user": "ada", "name": "main"}),
    ("invitation.create", {"address": "main@example.org", "role": "reader"}),
    ("user.forget", {"user": "main", "entries": 0}),
)


@pytest.fixture
def leavers(installation: Installation) -> dict[str, Person]:
    """Accounts that are called like a server, a tenant and a month. Somebody else had one of the logins before."""
    made = {}
    with installation.registry.user_db.begin() as session:
        record(session, "service_account.create", detail={"login": "may", "roles": []}, by="may")
        session.flush()
        for login, name in LEAVERS.items():
            user = create_user(session, login, name=name)
            user.mail_address = f"{login}@example.com"
            made[login] = Person(user.id, login, name)
    return made


def told(session: Session) -> list[tuple[Any, ...]]:
    return [(each.action, each.actor, each.detail) for each in session.scalars(select(AuditEntry).order_by("id"))]


def test_entries_about_others_stay(installation: Installation, leavers: dict[str, Person]) -> None:
    user_db = installation.registry.user_db
    with user_db.begin() as session:
        for action, detail in OF_OTHERS:
            record(session, action, detail=detail)
    with user_db.begin(read_only=True) as session:
        before = [entry for entry in told(session) if entry[0] != "user.create"]
    sealer = Sealer(user_db, None)
    sealer.seal_all()
    for login in leavers:
        forget_person(user_db, login)
    sealer.seal_all()
    with user_db.begin(read_only=True) as session:
        after = [entry for entry in told(session) if entry[0] != "user.create"]
        assert after[: len(before)] == before
        assert verify_lines(trail_lines(session), ()).findings == []


def test_entries_of_the_person_are_erased_where_they_name_them(
    installation: Installation, leavers: dict[str, Person], monkeypatch: pytest.MonkeyPatch
) -> None:
    user_db, main = installation.registry.user_db, leavers["main"]
    mark = f"forgotten:{main.id}"
    arguments = {"server": "main", "name": "main", "administrator": "Main"}
    entries: tuple[tuple[str, dict[str, Any], dict[str, Any]], ...] = (
        ("impersonation.start", {"login": "main", "reason": "MAIN asked", "impersonator": "ada"}, {"reason": mark}),
        ("identity_provider.link", {"login": "main", "subject": "00u1"}, {"subject": mark}),
        ("session.refuse", {"login": "Main@example.com", "reason": "disabled"}, {}),
        ("create.request", {"arguments": arguments}, {"arguments": {**arguments, "administrator": mark}}),
        ("invitation.accept", {"address": "main@example.com", "role": "main"}, {"address": mark}),
    )
    with user_db.begin() as session:
        for action, detail, _ in entries:
            record(session, action, detail=detail)
        record(session, "factor.add", detail={"factor": "main", "name": "for main"}, person=main)
        record(session, "operation.retry", detail={"kind": "main"}, by="main")
    sealer = Sealer(user_db, None)
    sealer.seal_all()
    with monkeypatch.context() as patched:
        patched.setattr(forgetting, "_finish", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            forget_person(user_db, "main")
    forget_person(user_db, "main")  # what was begun is finished, and counted whole
    sealer.seal_all()
    with user_db.begin(read_only=True) as session:
        erased = {action: (actor, detail) for action, actor, detail in told(session)}
        assert verify_lines(trail_lines(session), ()).findings == []
    for action, detail, change in entries:
        named = {"login": mark} if "login" in detail else {}
        assert erased[action][1] == {**detail, **named, **change}, action
    assert erased["factor.add"] == (mark, {"factor": "main", "name": mark})
    assert erased["operation.retry"] == (mark, {"kind": "main"})


def test_operations_and_mail_of_others_stay(installation: Installation, leavers: dict[str, Person]) -> None:
    user_db, mark = installation.registry.user_db, f"forgotten:{leavers['main'].id}"
    given = {"server": "main", "slug": "main", "administrator": "main"}
    done = {"result": {"server": "main"}, "error": "The server main is down for main.", "finished_at": utcnow()}
    later = utcnow() + timedelta(days=1)
    with user_db.begin() as session:
        waiting = Operation(kind="main", slug="main", arguments=given, requested_by="ada", progress_text="main")
        of_ada = Operation(kind="a", state=OperationState.FAILED, requested_by="local:main", **done)
        of_main = Operation(kind="b", state=OperationState.FAILED, requested_by="main", **done)
        session.add_all([waiting, of_ada, of_main])
        for address in ("main@example.com", "ada@example.com", "main@example.org"):
            to = Address("main", addr_spec=address)
            queue(session, to, Letter("main invites you", "From main, main@example.com"), later)
    forget_person(user_db, "main")
    with user_db.begin() as session:
        waiting, of_ada, of_main = (session.merge(each) for each in (waiting, of_ada, of_main))
        assert waiting.arguments == {**given, "administrator": mark}
        assert (waiting.kind, waiting.slug, waiting.requested_by, waiting.progress_text) == (
            "main",
            "main",
            "ada",
            "main",
        )
        assert (of_ada.requested_by, of_ada.error) == ("local:main", done["error"])
        assert (of_main.requested_by, of_main.result) == (mark, {"server": "main"})
        assert of_main.error == f"The server {mark} is down for {mark}."
        mails = session.scalars(select(OutgoingMail)).all()
        assert {mail.message["recipient"] for mail in mails} == {"ada@example.com", "main@example.org"}


def test_nobody_is_called_like_somebody_who_was_forgotten() -> None:
    with pytest.raises(InvalidValue, match="forgotten:"):
        check_login("Forgotten:019b")


def test_who_cannot_be_forgotten_keeps_nothing_else_from_being_done(
    installation: Installation, leavers: dict[str, Person], monkeypatch: pytest.MonkeyPatch
) -> None:
    user_db, finish = installation.registry.user_db, forgetting._finish
    keeper = Keeper(user_db, installation.registry.app_settings)

    def finish_not_main(session: Session, person: Any, entries: int) -> None:
        assert person.login != "main"
        finish(session, person, entries)

    with user_db.begin() as session:
        for person in leavers.values():
            leave(session, person.id)
    with monkeypatch.context() as patched:
        patched.setattr(forgetting, "_finish", finish_not_main)
        with pytest.raises(AssertionError):
            keeper.work_until_idle()
    with user_db.begin(read_only=True) as session:
        assert [user.login for user in session.scalars(select(User)) if user.login in leavers] == ["main"]
        assert verify_lines(trail_lines(session), ()).unsealed == 0
    keeper.work_until_idle()
    with user_db.begin(read_only=True) as session:
        verdict = verify_lines(trail_lines(session), ())
        assert (verdict.findings, verdict.unsealed) == ([], 0)
