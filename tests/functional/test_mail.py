"""Mail of a tenant: sent if what it tells about is committed, at least once, and not again because of a copy."""

from collections.abc import Iterator
from email.headerregistry import Address
from typing import Any

import pytest
from sqlalchemy import event, update
from sqlalchemy.orm import Session, SessionTransaction

from tenantapp.mail.errors import InvalidMail, MailNotConfigured
from tenantapp.mail.messages import JOB, MOST_BYTES, Envelope, send_mail
from tenantapp.mail.transports import SmtpTransport
from tenantapp.operations.fleet import Fleet
from tenantapp.setting_types import mail_url
from tenantapp.sql.ids import uuid7
from tenantapp.sql.times import utcnow
from tenantapp.testing.mails import Mails
from tenantapp.work import claims
from tenantapp.work.administration import describe_job
from tenantapp.work.declarations import DeclaredJobs
from tenantapp.work.models import TenantVisit
from tenantapp.work.queue import list_jobs, release_jobs
from tenantapp.work.running import Job
from tests.installation import Installation
from tests.jobs import Desk
from tests.mail_server import Mailserver, Received, serving_mail

ANN, BEN = "ann@example.com", "ben@example.com"


class Office(Desk):
    """A tenant that sends mail by a real server."""

    def __init__(self, installation: Installation, server: Mailserver) -> None:
        registry = installation.registry
        super().__init__(Fleet(registry.user_db, registry.app_settings, registry.servers), registry.tenant_dbs)
        self.declared, self.server, self.registry = registry.jobs, server, registry

    def send(self, *message: Any, **options: Any) -> Any:
        with self.databases.begin(self.access) as session:
            return self.registry.send_mail(session, self.access, *message, **options)

    def sent(self) -> list[Received]:
        """What the server has taken after a visit."""
        self.work()
        return self.server.take()


@pytest.fixture(scope="module")
def server() -> Iterator[Mailserver]:
    with serving_mail() as server:
        yield server


@pytest.fixture
def office(installation: Installation, server: Mailserver, monkeypatch: pytest.MonkeyPatch) -> Office:
    transport = SmtpTransport(mail_url(server.url(options="?starttls=no")), 5)
    monkeypatch.setattr(installation.registry, "mail_transport", transport)
    return Office(installation, server)


def test_a_message_is_sent_and_leaves_nothing(office: Office) -> None:
    message_id = office.send(Address("Ann", addr_spec=ANN), "Welcome", "Hello", html="<p>Hello</p>", reply_to=BEN)
    (got,) = office.sent()
    assert (got.sender, got.recipients) == ("tests@example.com", [ANN])
    assert got.message["Message-ID"] == f"<{message_id}@example.com>"
    assert (got.message["To"], got.message["Reply-To"]) == (f"Ann <{ANN}>", BEN)
    assert office.jobs("id") == []


def test_a_job_sends_mail_and_none_if_it_fails(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    def remind(job: Job) -> None:
        send_mail(job, ANN, f"Attempt {job.attempt}", "Hello")
        if job.attempt == 1:
            raise RuntimeError("no luck")

    monkeypatch.setattr(office, "declared", DeclaredJobs())
    office.declared.declare("remind", remind)
    office.declared.declare(JOB, office.registry.jobs[JOB].handler)
    office.enqueue("remind")
    assert office.sent() == []
    office.make_due()
    assert [got.message["Subject"] for got in office.sent()] == ["Attempt 2"]


def test_a_refused_recipient_fails_alone_and_a_delayed_one_is_repeated(office: Office) -> None:
    office.server.replies["RCPT"] = ["550 no such user", "450 greylisted"]
    office.send([ANN, BEN, "cy@example.com", BEN], "Hello", "Hello")
    assert [got.recipients for got in office.sent()] == [["cy@example.com"]]
    refused, delayed = office.jobs("state", "failures", "error")
    assert refused[:2] == ("failed", 0)
    assert refused[2].endswith(f"refuses {ANN}: 550 no such user.")
    assert delayed[:2] == ("queued", 1)
    assert delayed[2].endswith(f"refuses {BEN}: 450 greylisted.")
    office.make_due()
    (got,) = office.sent()
    assert (got.recipients, got.message["To"]) == ([BEN], f"{ANN}, {BEN}, cy@example.com")
    assert office.jobs("state") == ["failed"]


def test_a_worker_that_dies_after_the_answer_repeats_the_same_message(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        """The process ends here."""

    def die(*_: Any, **__: Any) -> None:
        raise Killed

    office.send(ANN, "Hello", "Hello", html="<p>Hello</p>")
    with monkeypatch.context() as patch:
        patch.setattr(claims, "mark_done", die)
        with pytest.raises(Killed):
            office.work()
    assert office.jobs("state") == ["running"]
    with office.fleet.user_db.begin() as session:
        session.execute(update(TenantVisit).values(lease_until=utcnow(), due_at=utcnow()))
    office.work()
    first, second = office.server.take()
    assert first.raw == second.raw
    assert office.jobs("state") == []


def test_a_copy_sends_nothing_until_somebody_releases_it(office: Office) -> None:
    office.work()
    office.send(ANN, "Hello", "Hello")
    office.set(tenant_id=uuid7())
    with office.fleet.user_db.begin() as session:
        session.execute(update(TenantVisit).values(seen="the database of the original"))
    assert (office.sent(), office.jobs("state")) == ([], ["held"])
    with office.databases.begin(office.access) as session:
        release_jobs(session, office.place)
    office.make_due()
    assert len(office.sent()) == 1


def test_no_transaction_is_open_while_the_server_answers(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: set[Session] = set()
    met: list[set[Session]] = []

    def begin(session: Session, *_: Any) -> None:
        begun.add(session)

    def end(session: Session, transaction: SessionTransaction) -> None:
        if transaction.parent is None:
            begun.discard(session)

    class Watching:
        """A mail server."""

        def send(self, envelope: Envelope) -> None:
            met.append(set(begun))

    office.send(ANN, "Hello", "Hello")
    monkeypatch.setattr(office.registry, "mail_transport", Watching())
    event.listen(Session, "after_begin", begin)
    event.listen(Session, "after_transaction_end", end)
    try:
        office.work()
    finally:
        event.remove(Session, "after_begin", begin)
        event.remove(Session, "after_transaction_end", end)
    assert met == [set()]
    assert begun == set()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"to": []}, "The mail has a wrong to. A message has from 1 to 50 recipients, not 0."),
        ({"to": [f"a{number}@example.com" for number in range(51)]}, "from 1 to 50 recipients, not 51"),
        ({"to": "ann@example.com\r\nBcc: ben@example.com"}, "wrong to. An email address is like"),
        ({"to": "ann\n@example.com"}, "An email address is like ann@example.com."),
        ({"to": "Ann <ann@example.com>"}, "An email address is like ann@example.com."),
        ({"to": "ann@stra\u00dfe.example"}, "The domain of this email address is ambiguous."),
        ({"to": f"{'a' * 65}@example.com"}, "at most 254 bytes, and 64 before the @."),
        ({"to": Address("A\u2028nn", addr_spec=ANN)}, "wrong to. The character U+2028 is not allowed in a line"),
        ({"reply_to": "ben"}, "The mail has a wrong reply_to. An email address is like"),
        ({"subject": "Hello\r\nBcc: ben@example.com"}, "wrong subject. The character U+000D is not allowed"),
        ({"subject": "x" * 251}, "The mail has a wrong subject. It has more than 250 characters."),
        ({"text": "a lone surrogate: \ud800"}, "The mail has a wrong text. The character U+D800"),
        ({"html": "\x00"}, "The mail has a wrong html. The character U+0000"),
        ({"text": "x" * MOST_BYTES}, f"more than {MOST_BYTES}."),
    ],
    ids=lambda value: "" if isinstance(value, str) else next(iter(value)),
)
def test_what_cannot_be_sent_is_refused_when_it_is_asked_for(change: dict[str, Any], told: str) -> None:
    class Queue:
        """Nothing may be queued."""

        def enqueue(self, *job: Any, **options: Any) -> Any:
            raise AssertionError

    with pytest.raises(InvalidMail) as caught:
        send_mail(Queue(), **{"to": ANN, "subject": "Hello", "text": "Hello"} | change)
    assert told in str(caught.value)


def test_addresses_and_names_of_all_scripts_arrive(office: Office) -> None:
    office.send(Address("Jürgen, Müller", "jürgen", "Bücher.example"), "Grüße ✓", "…", reply_to="a.b+c@sub.Example.COM")
    (got,) = office.sent()
    assert got.recipients == ["jürgen@xn--bcher-kva.example"]
    (address,) = got.message["To"].addresses
    assert (address.display_name, address.addr_spec) == ("Jürgen, Müller", "jürgen@xn--bcher-kva.example")
    assert (got.message["Subject"], got.message["Reply-To"]) == ("Grüße ✓", "a.b+c@sub.example.com")


def test_tests_get_the_messages_each_once(installation: Installation, mails: Mails) -> None:
    office = Office(installation, Mailserver())
    office.send([ANN, BEN], "First", "Hello")
    office.send(ANN, "Second", "Hello", html="<p>Hello</p>")
    assert list(mails) == []
    office.work()
    assert [mail["Subject"] for mail in mails] == ["First", "Second"]
    assert mails[0].get_content().strip() == "Hello"
    assert len(mails[-1:]) == 1


def test_who_manages_jobs_sees_who_is_written_to_and_not_what(office: Office) -> None:
    message_id = office.send([ANN, BEN], "Your link", "a-secret-of-ann", html="<p>a-secret-of-ann</p>", reply_to=BEN)
    with office.databases.begin(office.access, read_only=True) as session:
        job, _ = (describe_job(each, office.place) for each in reversed(list(list_jobs(session))))
    shown = {"id": str(message_id), "recipient": ANN, "to": [["", ANN], ["", BEN]], "subject": "Your link"}
    assert {name: job["arguments"][name] for name in shown} == shown
    assert "secret" not in str(job)


def test_without_a_server_nothing_is_queued(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(office.registry.jobs._jobs, JOB)
    with pytest.raises(MailNotConfigured, match=r"the setting mail\.url is not set"):
        office.send(ANN, "Hello", "Hello")
    assert office.jobs("id") == []
