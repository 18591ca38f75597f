"""The audit trail is sealed: what was done cannot be undone, and changes of it are found."""

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from time import monotonic, sleep
from uuid import UUID

import pytest
from sqlalchemy import delete, select, text, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from tenantapp.audit.canonical import erase
from tenantapp.audit.checkpoints import SigningKey, sign_head
from tenantapp.audit.exporting import one_moment, trail_lines
from tenantapp.audit.forgetting import forget_person
from tenantapp.audit.keeper import Keeper
from tenantapp.audit.models import OF_NO_TENANT, TRAIL, AuditChain, Forgetting, of_chain
from tenantapp.audit.sealing import Sealer
from tenantapp.audit.sweeping import sweep_trail
from tenantapp.audit.verifying import Verdict, verify_lines
from tenantapp.cli.installation import Installation as CommandsInstallation
from tenantapp.identity.audit import list_entries, record
from tenantapp.identity.errors import NotFound
from tenantapp.identity.models import AuditEntry, OneTimeLink
from tenantapp.identity.tenants import get_tenant
from tenantapp.identity.users import get_user
from tenantapp.mail.outbox_models import OutgoingMail
from tenantapp.operations.background import Background
from tenantapp.sql.times import utcnow
from tenantapp.tenancy.dbfactory import DBFactory
from tenantapp.testing.clock import Clock
from tests.functional.conftest import Command
from tests.installation import PASSWORD, Client, Installation

SECRET = "a secret for the tests of the audit trail, long enough"
KEY = SigningKey(SECRET)


def write(installation: Installation, *actions: str, slug: str | None = "acme") -> None:
    with installation.registry.user_db.begin() as session:
        tenant_id = None if slug is None else get_tenant(session, slug).id
        for action in actions:
            record(session, action, tenant_id=tenant_id, slug=slug, detail={"login": "ada", "number": 1.5})


def verified_in(user_db: DBFactory, *keys: bytes) -> Verdict:
    with user_db.begin(read_only=True) as session:
        return verify_lines(trail_lines(session), keys)


def verified(installation: Installation) -> Verdict:
    return verified_in(installation.registry.user_db, KEY.public)


def test_entries_are_sealed_in_a_chain_for_each_tenant(installation: Installation) -> None:
    sealer = Sealer(installation.registry.user_db, KEY, batch=3)
    before = sealer.seal_all()
    assert before > 3
    write(installation, "test.one", "test.two")
    write(installation, "test.three", slug="globex")
    write(installation, "test.four", slug=None)
    assert verified(installation).unsealed == 4
    assert (sealer.seal(), sealer.seal(), sealer.seal()) == (3, 1, 0)
    verdict = verified(installation)
    assert (verdict.findings, verdict.unsealed, verdict.signed) == ([], 0, True)
    assert (verdict.entries, verdict.chains) == (before + 4 + 2, 3)  # with the beginnings of two chains


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_entries SET actor = 'eve' WHERE action = 'test.one'",
        "UPDATE audit_entries SET detail = '{}' WHERE action = 'test.two'",
        "UPDATE audit_entries SET hash = previous WHERE action = 'test.one'",
        "DELETE FROM audit_entries WHERE action = 'test.two'",
        "UPDATE audit_chains SET position = position - 1",
        "DELETE FROM audit_chains",
    ],
)
def test_the_database_refuses_to_alter_the_trail(installation: Installation, statement: str) -> None:
    write(installation, "test.one")
    Sealer(installation.registry.user_db, KEY).seal_all()
    write(installation, "test.two")
    with pytest.raises(DBAPIError, match="audit trail"), installation.registry.user_db.begin() as session:
        session.execute(text(statement))
    assert verified(installation).findings == []


def without_triggers(session: Session) -> None:
    """Do what somebody does first who has the database."""
    is_sqlite = session.get_bind().dialect.name == "sqlite"
    for table in ("audit_entries", "audit_chains"):
        for rule in ("kept", "not_deleted") if is_sqlite else ("kept",):
            session.execute(text(f"DROP TRIGGER {table}_{rule}" + ("" if is_sqlite else f" ON {table}")))


def take_apart(session: Session, *chains: UUID) -> None:
    """Forget that these chains were sealed, so that they seem to be new."""
    for chain in chains:
        nothing = dict.fromkeys(("position", "previous", "hash", "salt"))
        session.execute(update(TRAIL).where(of_chain(chain)).values(nothing))
        session.execute(delete(AuditChain).where(AuditChain.chain == chain))


def found(installation: Installation) -> list[tuple[str, str]]:
    return [(finding.kind, finding.chain) for finding in verified(installation).findings]


def test_a_chain_that_was_removed_whole_is_missed_and_not_begun_again(installation: Installation, clock: Clock) -> None:
    user_db = installation.registry.user_db
    write(installation, "test.one", "test.two")
    write(installation, "test.three", slug="globex")
    Sealer(user_db, KEY).seal_all()
    with user_db.begin() as session:
        acme, globex = get_tenant(session, "acme").id, get_tenant(session, "globex").id
        without_triggers(session)
        session.execute(delete(TRAIL).where(of_chain(acme)))
        session.execute(delete(AuditChain).where(AuditChain.chain == acme))
    assert found(installation) == [("removed", str(acme))]
    with user_db.begin() as session:
        take_apart(session, globex)
        session.execute(delete(TRAIL).where(TRAIL.c.action == "test.three"))
    write(installation, "test.four")
    removed = {("removed", str(acme)), ("removed", str(globex))}
    assert set(found(installation)) == removed
    assert Sealer(user_db, KEY).seal_all() == 0
    clock.advance(minutes=11)
    write(installation, "test.five", slug=None)
    assert Sealer(user_db, KEY).seal_all() == 1
    assert set(found(installation)) == {*removed, ("unsealed", str(acme)), ("unsealed", str(globex))}
    with user_db.begin() as session:
        take_apart(session, OF_NO_TENANT)
    assert Sealer(user_db, KEY).seal_all() == 0
    assert set(found(installation)) == {("unsealed", str(OF_NO_TENANT))}  # the beginnings, which never wait


def test_beginnings_of_older_chains_are_recorded_once(installation: Installation) -> None:
    user_db = installation.registry.user_db
    write(installation, "test.one")
    Sealer(user_db, KEY).seal_all()
    with user_db.begin() as session:
        without_triggers(session)
        take_apart(session, OF_NO_TENANT)
        session.execute(delete(TRAIL).where(TRAIL.c.action == "audit.chain"))
        chains = session.scalars(select(AuditChain).order_by(AuditChain.chain)).all()
        ids = [str(chain.chain) for chain in chains]
        for chain in chains:
            sign_head(chain, KEY, recorded=False)  # as an older version has left it
    Sealer(user_db, KEY).seal_all()
    assert found(installation) == []
    with user_db.begin() as session:
        begun = list_entries(session, action="audit.chain")
        assert sorted(entry.detail["chain"] for entry in begun) == ids
        session.execute(delete(TRAIL).where(of_chain(OF_NO_TENANT)))
        session.execute(delete(AuditChain).where(AuditChain.chain == OF_NO_TENANT))
    write(installation, "test.two", slug=None)
    assert Sealer(user_db, KEY).seal_all() == 0  # the ends of the others say that there was one
    assert found(installation) == [("removed", chain) for chain in ids]


def test_a_sweep_leaves_a_signed_checkpoint(installation: Installation, clock: Clock) -> None:
    user_db = installation.registry.user_db
    write(installation, "test.old", "test.old", "test.old")
    Sealer(user_db, KEY).seal_all()
    clock.advance(days=31)
    write(installation, "test.young")
    before = verified(installation).entries
    assert sweep_trail(user_db, KEY, timedelta(days=32)) == 0
    assert sweep_trail(user_db, KEY, timedelta(days=30), keep_unsent=True) == 0  # nothing was sent
    assert sweep_trail(user_db, KEY, timedelta(days=30), at_once=2) == before
    Sealer(user_db, KEY).seal_all()
    verdict = verified(installation)
    assert (verdict.findings, verdict.swept, verdict.entries) == ([], before, 4)
    with user_db.begin(read_only=True) as session:
        # The beginnings of both chains are recorded again before their entries go.
        again = ["audit.chain", "audit.chain"]
        assert [entry.action for entry in list_entries(session)] == ["audit.sweep", *again, "test.young"]
        assert list_entries(session)[0].detail["entries"] == before


def test_commands(done: Command, run: Command, failed: Callable[..., str], ini: Path, tmp_path: Path) -> None:
    assert "tenancy.secret" in failed("audit", "key")
    done("tenants", "create", "acme")
    done("worker", "--until-idle")
    assert done("audit", "verify").out == "2 entries in 2 chains verified, no signatures checked.\n"
    with ini.open("a") as file:
        file.write(f"tenancy.secret = {SECRET}\n")
    assert run("audit", "verify").out.startswith("signature: ")
    done("tenants", "suspend", "acme", "--reason", "unpaid")
    done("worker", "--until-idle")  # a new signature does not cover what nobody has signed
    assert "1 not sealed yet" in run("audit", "verify").out
    assert done("audit", "sign", "--was", "none").out == "2 chains are signed by the present key.\n"
    done("worker", "--until-idle")
    assert done("audit", "verify").out == "4 entries in 2 chains verified.\n"
    assert done("audit", "verify", "--tenant", "acme").out == "2 entries in 1 chains verified.\n"
    done("users", "add", "bob", "--password-stdin", given=PASSWORD)
    assert "2 entries of the audit trail had the name" in done("users", "forget", "bob").out
    assert failed("users", "forget", "bob") == "There is no user bob"
    assert "backups.store" in failed("tenants", "forget", "acme")
    done("worker", "--until-idle")
    exported, key = tmp_path / "trail.jsonl", done("audit", "key").out.strip()
    assert done("audit", "export", str(exported)).out == f"7 entries of the audit trail are in {exported}.\n"

    with closing(sqlite3.connect(ini.parent / "user.sqlite")) as database:
        database.executescript(
            "DROP TRIGGER audit_entries_kept; UPDATE audit_entries SET actor = 'eve' WHERE action = 'tenant.suspend'"
        )
    told = run("audit", "verify", "--json")
    (finding,) = json.loads(told.out)["findings"]
    assert (told.status, finding["kind"], finding["position"]) == (1, "altered", 2)
    (suspended,) = [item for item in done("fleet", "audit", "--json").json["items"] if item["actor"] == "eve"]
    assert finding["entry"] == suspended["id"]

    done("audit", "verify", str(exported), "--key", key)
    assert "public key" in failed("audit", "verify", str(exported), "--key", "beef")
    lines = exported.read_text().splitlines()
    assert run("audit", "verify", str(exported), "--key", "00" * 32).out.count("signature: ") == 4
    exported.write_text("\n".join(lines[:-1]))
    assert (
        "The last entries are missing, after position 1 up to position 2." in run("audit", "verify", str(exported)).out
    )
    exported.write_text("[]")
    assert "is not a JSON object" in failed("audit", "verify", str(exported))


def test_a_person_is_forgotten_and_the_chain_still_verifies(installation: Installation) -> None:
    user_db = installation.registry.user_db
    installation.person("reader", login="olga.b@example.com")
    ada = Client(installation.app).sign_in("olga.b@example.com")
    assert ada.get("/session").json["user"]["login"] == "olga.b@example.com"
    detail = {"login": "OLGA.B@example.com", "role": "reader", "reason": "asked by olga.b@example.com, twice"}
    with user_db.begin() as session:
        user = get_user(session, "olga.b@example.com")
        user.mail_address, olga = "olga@mail.example", user.id
        later = utcnow() + timedelta(days=1)
        session.add(OneTimeLink(token_hash=b"x", purpose="test", mail_address="olga@mail.example", expires_at=later))
        session.add(OutgoingMail(message={"recipient": "olga@mail.example"}, due_at=later, expires_at=later))
        record(session, "test.done", detail=detail)
        record(session, "test.other", detail={"login": "bolga.b@example.com"})
    Sealer(user_db, KEY).seal_all()
    with user_db.begin() as session:
        record(session, "test.late", detail=detail)  # not sealed yet
    forgotten = forget_person(user_db, "Olga.B@example.com")
    assert forgotten.user_id == olga
    Sealer(user_db, KEY).seal_all()
    verdict = verified(installation)
    assert verdict.findings == []
    assert 0 < verdict.erased < forgotten.entries
    with user_db.begin(read_only=True) as session:
        entries = list_entries(session)
        told = {entry.action: entry for entry in entries}
        assert told["test.done"].detail == {
            "login": f"forgotten:{olga}",
            "role": "reader",
            "reason": f"forgotten:{olga}",
        }
        assert told["test.late"].detail == told["test.done"].detail
        assert told["test.other"].detail == {"login": "bolga.b@example.com"}
        assert (told["session.start"].actor, told["session.start"].address) == (f"forgotten:{olga}", None)
        assert told["session.start"].actor_id == olga
        assert told["user.forget"].detail == {"user": str(olga), "entries": forgotten.entries}
        everything = "".join(map(str, session.execute(select(AuditEntry.__table__))))
        assert "olga.b" not in everything.replace("bolga.b", "").lower()
        with pytest.raises(NotFound):
            get_user(session, "olga.b@example.com")
        assert session.scalars(select(OneTimeLink)).all() == []
        assert session.scalars(select(OutgoingMail)).all() == []
    assert ada.get("/session").status_int == 401


def test_who_hides_behind_a_forgotten_person_is_found(installation: Installation) -> None:
    """Nothing is erased without an entry that says of how many."""
    user_db = installation.registry.user_db
    installation.person("reader", login="olga")
    write(installation, "test.one")
    Sealer(user_db, KEY).seal_all()
    with user_db.begin() as session:
        olga = get_user(session, "olga").id
        session.add(Forgetting(user_id=olga))
        lines = list(trail_lines(session))
    (line,) = [line for line in lines if line.get("entry", {}).get("action") == "test.one"]
    line["erased"] = erase(line["entry"], bytes.fromhex(line["salt"]), None, ["actor"])
    line["entry"]["actor"] = f"forgotten:{olga}"
    assert [finding.kind for finding in verify_lines(lines, [KEY.public]).findings] == ["erased"]


def test_the_trail_is_read_as_of_one_moment(shared_installation: Installation) -> None:
    """SQLite has no other way to read."""
    with one_moment(shared_installation.registry.user_db) as session:
        assert next(trail_lines(session))["whole"]
        if session.get_bind().dialect.name == "postgresql":
            assert session.scalar(text("SHOW transaction_isolation")) == "repeatable read"
            assert session.scalar(text("SHOW transaction_read_only")) == "on"


def test_a_thread_of_a_worker_seals(done: Command, ini: Path) -> None:
    done("users", "list")
    with closing(CommandsInstallation(ini)) as installation:
        user_db = installation.fleet.user_db
        with user_db.begin() as session:
            record(session, "test.done")
        with Background("audit trail", Keeper(user_db, installation.settings).run):
            ends = monotonic() + 30
            while verified_in(user_db).unsealed and monotonic() < ends:
                sleep(0.02)
        assert (verified_in(user_db).entries, verified_in(user_db).unsealed) == (1, 0)
