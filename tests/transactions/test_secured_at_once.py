"""Who secures an account and who signs in at the same moment do not wait for each other, nor does the sweep."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from time import monotonic, sleep

import pytest
from sqlalchemy import select, text, update

from tenantapp.credentials.challenges import Purpose, choose_password, open_challenge, use
from tenantapp.credentials.errors import ChallengeEnded
from tenantapp.credentials.post import Post
from tenantapp.fleet.removing.expired import sweep_expired
from tenantapp.identity.models import SignInChallenge, User
from tenantapp.identity.users import get_user
from tenantapp.identity.web_sessions import end_pending
from tenantapp.sql.times import utcnow
from tenantapp.tenancy.dbfactory import DBFactory
from tests.installation import PASSWORD, Client, Installation


@pytest.mark.parametrize("first", ["secures", "signs in"])
def test_who_secures_an_account_and_who_signs_in(real_installation: Installation, first: str) -> None:
    user_db = real_installation.registry.user_db
    with user_db.begin() as session:
        session.execute(update(User).where(User.login == "bob").values(password_initial=True, password_set_at=utcnow()))
        bob_id = get_user(session, "bob").id
    answer = Client(real_installation.app).post("/session", {"login": "bob", "password": PASSWORD})
    pending = open_challenge(user_db, answer.json["challenge"]["token"], Purpose.NEW_PASSWORD)

    def sign_in() -> None:
        with user_db.begin() as session:
            choose_password(session, pending, "a hash", Post("https://app.example.com"))

    def secure() -> None:
        with user_db.begin() as session:
            end_pending(session, bob_id)

    with ThreadPoolExecutor(1) as threads:
        with user_db.begin() as session:
            if first == "secures":
                session.scalar(select(User.id).where(User.id == bob_id).with_for_update(key_share=True))
                second = threads.submit(sign_in)
            else:
                use(session, pending)
                second = threads.submit(secure)
            wait_until_somebody_waits(user_db)
            end_pending(session, bob_id)
        if first == "secures":
            with pytest.raises(ChallengeEnded):
                second.result()
        else:
            second.result()
    with user_db.begin(read_only=True) as session:
        assert session.scalars(select(SignInChallenge)).all() == []


def test_what_is_being_used_is_not_swept(real_installation: Installation) -> None:
    user_db, now = real_installation.registry.user_db, utcnow()
    with user_db.begin() as session:
        is_postgres = session.get_bind().dialect.name == "postgresql"
        for number, late in enumerate((1, 1, -1)):
            expires_at = now - timedelta(minutes=late)
            token_hash = bytes([number]) * 32
            session.add(SignInChallenge(token_hash=token_hash, purpose=Purpose.PASSKEY, expires_at=expires_at))
    with ThreadPoolExecutor(1) as threads:
        with user_db.begin() as session:
            session.get(SignInChallenge, bytes(32), with_for_update=True)
            swept = threads.submit(sweep, user_db)
            if is_postgres:
                assert swept.result() == 1
        # SQLite has one writer: it waits at the beginning, when it has nothing that others wait for.
        assert swept.result() == (1 if is_postgres else 2)
    assert sweep(user_db) == (1 if is_postgres else 0)


def sweep(user_db: DBFactory) -> int:
    with user_db.begin() as session:
        return sweep_expired(session)[SignInChallenge]


def wait_until_somebody_waits(user_db: DBFactory) -> None:
    """Wait until a connection to this database waits for a lock. On SQLite each who writes waits for the one before."""
    waiting = text(
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    )
    ends = monotonic() + 10
    while monotonic() < ends:
        with user_db.begin(read_only=True) as session:
            if session.get_bind().dialect.name == "sqlite" or session.scalar(waiting):
                return
        sleep(0.005)
    raise AssertionError("nobody waits")
