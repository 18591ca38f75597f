"""People choose what they are called. Who is forgotten takes nothing with them that is about others."""

from datetime import datetime, timedelta
from email.headerregistry import Address
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from tenantapp.audit import forgetting
from tenantapp.audit.errors import NotForgotten, NotForgottenYet
from tenantapp.audit.exporting import trail_lines
from tenantapp.audit.forgetting import Forgetter, forget_person, leave
from tenantapp.audit.keeper import Keeper
from tenantapp.audit.models import Forgetting
from tenantapp.audit.sealing import Sealer
from tenantapp.audit.verifying import verify_lines
from tenantapp.identity.audit import record
from tenantapp.identity.errors import InvalidValue
from tenantapp.identity.models import AuditEntry, User
from tenantapp.identity.names import check_login
from tenantapp.identity.users import create_user, get_user
from tenantapp.mail.outbox import Letter, queue
from tenantapp.mail.outbox_models import OutgoingMail
from tenantapp.operations.models import Operation, OperationState, RecordedRun
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
    arguments = {"server": "main", "name": "for main", "administrator": "Main"}
    entries: tuple[tuple[str, dict[str, Any], dict[str, Any]], ...] = (
        ("impersonation.start", {"login": "main", "reason": "MAIN asked", "impersonator": "ada"}, {"reason": mark}),
        ("identity_provider.link", {"login": "main", "subject": "00u1"}, {"subject": mark}),
        ("session.refuse", {"login": "Main@example.com", "reason": "disabled"}, {}),
        ("create.request", {"arguments": arguments}, {"arguments": {**arguments, "name": mark, "administrator": mark}}),
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
    given = {"server": "main", "slug": "main", "administrator": "main", "reason": "MAIN asked for it"}
    now, long_ago = utcnow(), utcnow() - timedelta(days=1)
    failed: dict[str, Any] = {
        "state": OperationState.FAILED,
        "result": {"server": "main"},
        "error": "The server main is down for main.",
        "finished_at": now,
    }
    others = {"server": "main", "reason": "unpaid, says main"}
    with user_db.begin() as session:
        for_main = Operation(kind="main", slug="main", arguments=given, requested_by="ada", progress_text="main")
        of_main = Operation(kind="b", requested_by="main", arguments={"reason": "For main"}, **failed)
        of_local = Operation(kind="a", requested_by="local:main", arguments=others, **failed)
        of_former = Operation(kind="a", requested_by="main", arguments=given, created_at=long_ago, **failed)
        waiting = Operation(kind="c", requested_by="main", arguments={"server": "main"})
        for_main.state, for_main.finished_at = OperationState.SUCCEEDED, now
        session.add_all([for_main, of_main, of_local, of_former, waiting])
        for begun in (now, long_ago):
            session.add(run_by("main", begun))
        for address in ("main@example.com", "ada@example.com", "main@example.org"):
            to = Address("main", addr_spec=address)
            queue(session, to, Letter("main invites you", "From main, main@example.com"), now + timedelta(days=1))
    forget_person(user_db, "main")
    with user_db.begin() as session:
        for_main, of_main, of_local, of_former, waiting = (
            session.merge(each) for each in (for_main, of_main, of_local, of_former, waiting)
        )
        assert for_main.arguments == {**given, "administrator": mark, "reason": mark}
        assert (for_main.kind, for_main.slug, for_main.requested_by) == ("main", "main", "ada")
        assert for_main.progress_text == "main"
        assert (of_main.requested_by, of_main.arguments, of_main.result) == (mark, {"reason": mark}, {"server": "main"})
        assert of_main.error == f"The server {mark} is down for {mark}."
        for other, arguments, by in ((of_local, others, "local:main"), (of_former, given, "main")):
            assert (other.requested_by, other.arguments, other.error) == (by, arguments, failed["error"])
        assert (waiting.requested_by, waiting.arguments) == (mark, {"server": "main"})
        runs = session.scalars(select(RecordedRun).order_by(RecordedRun.started_at))
        assert [run.requested_by for run in runs] == ["main", mark], "somebody else had the login before"
        mails = session.scalars(select(OutgoingMail)).all()
        assert {mail.message["recipient"] for mail in mails} == {"ada@example.com", "main@example.org"}


def run_by(login: str, begun: datetime) -> RecordedRun:
    return RecordedRun(
        wanted="head", requested_by=login, owner="o", jobs=1, stages=[], points=[], started_at=begun, seen_at=begun
    )


def test_who_is_named_by_an_unfinished_operation_is_forgotten_when_it_has_finished(
    installation: Installation, leavers: dict[str, Person]
) -> None:
    user_db, mark = installation.registry.user_db, f"forgotten:{leavers['main'].id}"
    given, keeper = {"administrator": "main"}, Keeper(user_db, installation.registry.app_settings)
    with user_db.begin() as session:
        queued = Operation(kind="create", arguments=given, requested_by="ada")
        session.add(queued)
        session.flush()
        operation_id = queued.id
    with pytest.raises(NotForgottenYet, match=str(operation_id)):
        forget_person(user_db, "main")
    keeper.work_until_idle()
    with user_db.begin() as session:
        queued = session.get_one(Operation, operation_id)
        assert queued.arguments == given, "it would fail without"
        assert not get_user(session, "main").enabled
        queued.state, queued.finished_at = OperationState.SUCCEEDED, utcnow()
        forgetting = session.get_one(Forgetting, leavers["main"].id)
        assert forgetting.claimed_until is not None, "it is not asked every two seconds"
        forgetting.claimed_until = utcnow()
    keeper.work_until_idle()
    with user_db.begin() as session:
        assert session.get_one(Operation, operation_id).arguments == {"administrator": mark}
        assert session.get(User, leavers["main"].id) is None


def test_processes_share_the_people_and_take_over_from_one_that_died(
    installation: Installation, leavers: dict[str, Person]
) -> None:
    user_db = installation.registry.user_db
    with user_db.begin() as session:
        for person in leavers.values():
            leave(session, person.id)
    first, second = Forgetter(user_db), Forgetter(user_db)
    assert first.work(), "it has read one page of the trail, and stops there"
    while second.work():
        pass
    with user_db.begin() as session:
        (left,) = session.scalars(select(Forgetting).where(Forgetting.finished_at.is_(None)))
        assert session.get(User, left.user_id) is not None
        left.claimed_until = utcnow() - timedelta(seconds=1)
    assert second.work()
    while first.work() or second.work():
        pass
    with user_db.begin(read_only=True) as session:
        ends = [entry for entry in told(session) if entry[0] == "user.forget"]
    assert {detail["user"] for _, _, detail in ends} == {str(person.id) for person in leavers.values()}
    assert len(ends) == len(leavers)


def test_nobody_is_called_like_somebody_who_was_forgotten() -> None:
    with pytest.raises(InvalidValue, match="forgotten:"):
        check_login("Forgotten:019b")


def test_who_cannot_be_forgotten_keeps_nothing_else_from_being_done(
    installation: Installation,
    leavers: dict[str, Person],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    user_db, finish = installation.registry.user_db, forgetting._finish
    keeper = Keeper(user_db, installation.registry.app_settings)

    def finish_not_main(session: Session, person: Any, entries: int) -> None:
        assert person.login == "acme", person.login
        finish(session, person, entries)

    with user_db.begin() as session:
        for person in leavers.values():
            leave(session, person.id)
    with monkeypatch.context() as patched:
        patched.setattr(forgetting, "_finish", finish_not_main)
        with pytest.raises(NotForgotten, match="2 could not be forgotten"):
            keeper.work_until_idle()
    failures = [each.getMessage() for each in caplog.records if each.name == forgetting.__name__]
    assert [text.split(" cannot")[0] for text in failures] == [
        f"The person {leavers[login].id}" for login in ("main", "may")
    ]
    with user_db.begin(read_only=True) as session:
        assert [user.login for user in session.scalars(select(User).order_by(User.login)) if user.login in leavers] == [
            "main",
            "may",
        ]
        assert verify_lines(trail_lines(session), ()).unsealed == 0
    keeper.work_until_idle()
    with user_db.begin(read_only=True) as session:
        verdict = verify_lines(trail_lines(session), ())
        assert (verdict.findings, verdict.unsealed) == ([], 0)
