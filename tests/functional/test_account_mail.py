"""Mail of accounts: in the user database until it is sent, by one worker at a time, and never after its end."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from string import Template
from threading import Event
from time import monotonic

import pytest
from sqlalchemy import select, update

import tenantapp
from tenantapp.mail.delivering import Delivery
from tenantapp.mail.letters import LANGUAGES, write_letter
from tenantapp.mail.outbox import MAILS, Letter, claim, discard, postpone, queue
from tenantapp.mail.outbox_models import OutgoingMail
from tenantapp.mail.transports import SmtpTransport
from tenantapp.operations.background import Background
from tenantapp.setting_types import mail_url, mailbox
from tenantapp.sql.times import utcnow
from tests.installation import Installation
from tests.mail_server import Mailserver, serving_mail

ANN = "ann@example.com"
HOUR = timedelta(hours=1)
LETTER = Letter("Hello", "Come in.\n", "<p>Come in.</p>")


@pytest.fixture(scope="module")
def server() -> Iterator[Mailserver]:
    with serving_mail() as server:
        yield server


@pytest.fixture
def delivery(installation: Installation, server: Mailserver) -> Delivery:
    transport = SmtpTransport(mail_url(server.url(options="?starttls=no")), 5)
    return Delivery(installation.registry.user_db, lambda: transport, mailbox("Shop <shop@example.com>"), 5)


def put(installation: Installation, expires_in: timedelta = HOUR) -> None:
    with installation.registry.user_db.begin() as session:
        queue(session, ANN, LETTER, utcnow() + expires_in)


def waiting(installation: Installation) -> list[OutgoingMail]:
    with installation.registry.user_db.begin(read_only=True) as session:
        found = list(session.scalars(select(OutgoingMail)))
        session.expunge_all()
    return found


def make_due(installation: Installation, **values: object) -> None:
    with installation.registry.user_db.begin() as session:
        session.execute(update(MAILS).values(due_at=utcnow() - HOUR, **values))


def test_a_letter_is_sent_in_both_forms_and_leaves_nothing(
    installation: Installation, server: Mailserver, delivery: Delivery
) -> None:
    put(installation)
    assert delivery.deliver() == 1
    (got,) = server.take()
    assert (got.sender, got.recipients, got.message["Subject"]) == ("shop@example.com", [ANN], "Hello")
    assert [part.get_content_type() for part in got.message.iter_parts()] == ["text/plain", "text/html"]
    assert waiting(installation) == []


def test_a_letter_of_a_transaction_that_is_rolled_back_is_not_sent(
    installation: Installation, delivery: Delivery
) -> None:
    with installation.registry.user_db.begin() as session:
        queue(session, ANN, LETTER, utcnow() + HOUR)
        session.flush()
        session.rollback()
    assert delivery.deliver() == 0


def test_a_delayed_letter_is_tried_again_and_a_refused_one_is_given_up(
    installation: Installation, server: Mailserver, delivery: Delivery
) -> None:
    put(installation)
    server.replies["RCPT"] = ["450 greylisted", "550 no such user"]
    assert delivery.deliver() == 0
    (mail,) = waiting(installation)
    assert (mail.attempts, mail.owner) == (1, None)
    assert utcnow() < mail.due_at < utcnow() + timedelta(minutes=1)
    assert delivery.deliver() == 0, "it was tried again at once"
    make_due(installation)
    assert delivery.deliver() == 0
    assert (waiting(installation), server.take()) == ([], [])


def test_an_expired_letter_is_deleted_unsent(
    installation: Installation, server: Mailserver, delivery: Delivery
) -> None:
    put(installation, timedelta(0))
    put(installation)
    make_due(installation, expires_at=utcnow() - HOUR)
    assert delivery.deliver() == 0
    assert (waiting(installation), server.take()) == ([], [])


def test_pauses_grow_and_end_with_the_letter(installation: Installation) -> None:
    put(installation, timedelta(minutes=30))
    pauses = []
    for _ in range(6):
        with installation.registry.user_db.begin() as session:
            mail = claim(session, HOUR)
            assert mail is not None
            postpone(session, mail)
        (row,) = waiting(installation)
        pauses.append(round((row.due_at - utcnow()).total_seconds()))
        assert row.due_at <= row.expires_at
        make_due(installation)
    assert pauses[:5] == [5, 15, 60, 300, 900]
    assert 1790 < pauses[5] <= 1800


def test_one_worker_at_a_time_has_a_letter_and_a_late_one_changes_nothing(installation: Installation) -> None:
    put(installation)
    user_db = installation.registry.user_db
    with user_db.begin() as session:
        first = claim(session, HOUR)
        assert first is not None
    with user_db.begin() as session:
        assert claim(session, HOUR) is None
    make_due(installation)  # the lease of the first has run out
    with user_db.begin() as session:
        second = claim(session, HOUR)
        assert second is not None
        assert (second.id, second.attempts) == (first.id, 2)
    with user_db.begin() as session:
        discard(session, first)
        postpone(session, first)
    (row,) = waiting(installation)
    assert row.owner == second.owner


def test_a_thread_delivers_within_two_seconds(shared_installation: Installation, server: Mailserver) -> None:
    """Really committed, and read on another connection."""
    user_db, arrived = shared_installation.registry.user_db, Event()
    server.on_data = arrived.set
    transport = SmtpTransport(mail_url(server.url(options="?starttls=no")), 5)
    with Background("mail", Delivery(user_db, lambda: transport, mailbox(ANN), 5).run):
        put(shared_installation)
        since = monotonic()
        assert arrived.wait(5)
    assert monotonic() - since < 2
    server.on_data = None
    assert len(server.take()) == 1
    assert waiting(shared_installation) == []


def test_every_letter_is_there_in_each_language_with_the_same_values() -> None:
    """A paragraph with an address has nothing else, so it becomes a link in HTML."""
    for package in ("credentials", "joining"):
        letters = {}
        for language in LANGUAGES:
            folder = Path(tenantapp.__file__).parent / package / "templates" / language
            texts = {path.stem: path.read_text("utf-8") for path in folder.glob("*.txt")}
            letters[language] = {name: set(Template(text).get_identifiers()) for name, text in texts.items()}
            paragraphs = [paragraph for text in texts.values() for paragraph in text.strip().split("\n\n")]
            assert {each for each in paragraphs if "$link" in each or "$page" in each} <= {"$link", "$page"}
        assert len(letters["en"]) > 2
        assert letters["en"] == letters["de"]


def test_values_are_escaped_in_html_and_make_no_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "letterbox"
    (package / "templates" / "en").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "templates" / "en" / "note.txt").write_text("To $name\n\nHello $name,\nhow are you?\n\n$link\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    name = "<b>Ann</b>\nBcc: ben@example.com\n\nhttps://evil.example"
    letter = write_letter("letterbox", "note", {"name": name, "link": "https://app.example/links/a#b&c"}, "fr")
    assert letter.subject == "To <b>Ann</b> Bcc: ben@example.com https://evil.example"
    assert letter.text.splitlines()[1:] == ["how are you?", "", "https://app.example/links/a#b&c"]
    assert letter.html is not None
    assert "&lt;b&gt;Ann&lt;/b&gt; Bcc" in letter.html
    assert letter.html.count("<a ") == 1
    assert '<a href="https://app.example/links/a#b&amp;c">' in letter.html
