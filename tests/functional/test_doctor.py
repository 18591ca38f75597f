"""``tenantapp doctor`` names what is not in order, and what to do."""

import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from sqlalchemy import create_engine, text, update
from sqlalchemy.engine import URL
from sqlalchemy.pool import NullPool

from tenantapp.cli.checks import databases
from tenantapp.cli.checks.examination import Check, Examination, Finding, State
from tenantapp.cli.doctor import examine
from tenantapp.cli.installation import Installation as CommandsInstallation
from tenantapp.databases.histories.histories import bundled, script_directory
from tenantapp.identity.models import Tenant, TenantState
from tenantapp.operations.models import Operation, OperationState
from tenantapp.sql.times import utcnow
from tests.functional.conftest import Command, Result
from tests.installation import Installation
from tests.postgres import postgres_bin
from tests.unprivileged import bound_by_permissions

PASSWORD = "opensesame"
NOWHERE = "127.0.0.1:1"
DOWN = f"postgresql+psycopg2://nobody:{PASSWORD}@{NOWHERE}/"
Doctor = Callable[..., Result]


@pytest.fixture
def doctor(run: Command, tmp_path: Path) -> Doctor:
    """Runs ``doctor`` on these settings, with a store for backups and the tools of the tests' own server."""
    (tmp_path / "backups").mkdir(mode=0o700)
    unset = {"passwords.memory": "", "mail.url": ""}
    kept = {"backups.store": str(tmp_path / "backups"), "backups.postgres_bin": postgres_bin("pginstall18")}

    def doctor(
        settings: Mapping[str, str], changed: Mapping[str, str] = MappingProxyType({}), *, options: str = "--json"
    ) -> Result:
        ini = tmp_path / "tenantapp.ini"
        values = {name: value for name, value in (kept | dict(settings) | unset | dict(changed)).items() if value}
        lines = [f"{name} = {value.replace('%', '%%')}" for name, value in values.items()]
        ini.write_text("\n".join(["[app:main]", "use = egg:tenantapp", *lines]))
        ini.chmod(0o600)
        return run("--ini", str(ini), "doctor", *options.split())

    return doctor


def found(result: Result, check: str) -> list[dict[str, Any]]:
    return [item for item in result.json["items"] if item["check"] == check]


def not_ok(result: Result) -> dict[str, str]:
    return {item["check"]: item["state"] for item in result.json["items"] if item["state"] != "ok"}


def make_private(installation: Installation) -> None:
    """Do what the advice says: the tests' own umask is another one than the command's."""
    url = installation.registry.app_settings.user_db_url
    if url.get_backend_name() == "sqlite":
        for path in Path(url.database).parent.rglob("*"):
            path.chmod(path.stat().st_mode & ~0o077)


@pytest.fixture
def healthy(shared_installation: Installation) -> Mapping[str, str]:
    """The settings of an installation in which everything is in order."""
    make_private(shared_installation)
    return shared_installation.settings


def test_in_a_healthy_installation_everything_is_ok(doctor: Doctor, healthy: Mapping[str, str]) -> None:
    result = doctor(healthy)
    assert not_ok(result) == {}
    assert (result.status, result.err) == (0, "")
    assert {item["advice"] for item in result.json["items"]} == {""}
    checks = {item["check"] for item in result.json["items"]}
    assert {"settings", "user database", "user revision", "server main", "clock", "files", "application"} <= checks


def test_for_people_there_is_one_aligned_line_for_each(doctor: Doctor, healthy: Mapping[str, str]) -> None:
    result = doctor(healthy, {"backups.store": ""}, options="")
    assert (result.status, result.err) == (0, "")
    rows = [re.fullmatch(r"(\S.*?) +(ok|warning|wrong) +(.*)", line) for line in result.out.splitlines()]
    assert all(rows)
    assert len({row.start(2) for row in rows if row}) == len({row.start(3) for row in rows if row}) == 1
    (backups,) = (row for row in rows if row and row[1] == "backups")
    assert backups.group(2, 3) == ("warning", "backups.store is not set, so there are no backups. Set backups.store.")


def test_a_history_without_the_tables_of_tenantapp_is_named(
    doctor: Doctor, healthy: Mapping[str, str], tmp_path: Path
) -> None:
    history = shutil.copytree(bundled("tenant"), tmp_path / "history", ignore=shutil.ignore_patterns("__pycache__"))
    for revision in (history / "versions").glob("*.py"):
        if not revision.stem.endswith("a_tenant_database"):
            revision.unlink()
    (domain,) = found(doctor(healthy, {"migrations.tenant": str(history)}), "domain")
    assert (domain["state"], "tenantapp revision" in domain["advice"]) == ("warning", True)
    assert "tenant_changes, tenant_change_counter, tenant_idempotency_keys, tenant_files" in domain["detail"]


BROKEN = [
    ("session.idle_timeout", "soon", "settings", "wrong", "Correct it"),
    ("passwords.memory", "8", "passwords", "warning", "19456"),
    ("user_db.url", "{missing}", "user database", "wrong", "tenantapp init"),
    ("servers.main", "{down}", "server main", "wrong", "servers.main"),
    ("backups.store", "{dir}/unmounted", "backups", "warning", "mount"),
    ("backups.store", "nothing://here", "backups", "wrong", "Correct"),
    ("mail.url", f"smtp://shop:{PASSWORD}@{NOWHERE}", "mail", "wrong", "docs/mail.md"),
    ("pyramid.includes", "tenantapp.nothing", "application", "wrong", "pserve"),
]


@pytest.mark.parametrize(("setting", "value", "check", "state", "advice"), BROKEN)
def test_what_is_broken_is_named_with_what_to_do(
    doctor: Doctor,
    healthy: Mapping[str, str],
    engine_name: str,
    tmp_path: Path,
    setting: str,
    value: str,
    check: str,
    state: str,
    advice: str,
) -> None:
    (tmp_path / "file").touch()
    missing, down = f"sqlite+pysqlite:///{tmp_path}/missing.sqlite", f"sqlite+pysqlite:///{tmp_path}/file/tenants"
    if engine_name == "postgresql":
        missing, down = healthy["user_db.url"].replace("/users_", "/nobody_made_"), DOWN
    result = doctor(healthy, {setting: value.format(missing=missing, down=down, dir=tmp_path)})
    (finding,) = found(result, check)
    assert (finding["state"], result.status) == (state, 1 if state == "wrong" else 0), finding
    assert advice in finding["advice"]
    assert PASSWORD not in result.out
    assert bool(found(result, "not checked")) == (check in ("settings", "user database"))


def test_a_database_that_is_behind_is_named(doctor: Doctor, real_installation: Installation) -> None:
    make_private(real_installation)
    older = script_directory(real_installation.registry.app_settings, "user").get_revision("head").down_revision
    with real_installation.registry.user_db.begin() as session:
        operation = Operation(kind="backup", slug="acme", requested_by="test", state=OperationState.FAILED)
        lost = Operation(kind="backup", slug="acme", requested_by="test", state=OperationState.RUNNING)
        lost.lease_until = utcnow() - timedelta(minutes=1)
        session.add_all([operation, lost])
        session.execute(update(Tenant).where(Tenant.slug == "acme").values(revision=None, migrating_until=utcnow()))
        session.execute(update(Tenant).where(Tenant.slug == "globex").values(state=TenantState.CREATING))
    result = doctor(real_installation.settings)
    assert (result.status, not_ok(result)) == (0, {"tenants": "warning", "operations": "warning"})
    (tenants,) = found(result, "tenants")
    assert tenants["detail"].startswith("1 tenant behind ")
    assert tenants["advice"] == "Run `tenantapp migrate`"
    assert [item["detail"] for item in found(result, "operations")] == [
        "1 tenant not served while being migrated",
        "1 tenant not made yet",
        "1 operation failed",
        "1 operation whose worker has died",
    ]
    with real_installation.registry.user_db.begin() as session:
        session.execute(text("UPDATE alembic_version SET version_num = :older"), {"older": older})
    result = doctor(real_installation.settings)
    assert (result.status, not_ok(result)) == (1, {"user revision": "wrong", "not checked": "warning"})
    assert found(result, "user revision")[0]["advice"] == "Run `tenantapp init`"


def test_what_succeeded_later_has_not_failed(doctor: Doctor, real_installation: Installation) -> None:
    make_private(real_installation)
    with real_installation.registry.user_db.begin() as session:
        for state in (OperationState.FAILED, OperationState.SUCCEEDED):
            session.add(Operation(kind="backup", slug="acme", requested_by="test", state=state))
            session.flush()
    assert not_ok(doctor(real_installation.settings)) == {}


@pytest.fixture
def on_postgresql(shared_on_postgresql: Installation) -> Mapping[str, str]:
    return shared_on_postgresql.settings


def test_a_missing_pg_dump_is_wrong_only_where_backups_are_kept(
    doctor: Doctor, on_postgresql: Mapping[str, str], tmp_path: Path
) -> None:
    nothing = {"backups.postgres_bin": str(tmp_path / "backups")}
    kept, given_up = doctor(on_postgresql, nothing), doctor(on_postgresql, nothing | {"backups.store": ""})
    assert (kept.status, given_up.status) == (1, 0)
    assert not_ok(kept) == {"tools for main": "wrong"}
    assert found(given_up, "tools for main")[0]["state"] == "warning"
    assert "backups.postgres_bin" in found(kept, "tools for main")[0]["advice"]


def test_extensions_that_cannot_be_made_are_named(doctor: Doctor, on_postgresql: Mapping[str, str]) -> None:
    findings = found(doctor(on_postgresql, {"servers.main.extensions": "plpgsql, vectr"}), "extensions on main")
    assert [(each["state"], each["detail"]) for each in findings] == [
        ("wrong", "the server does not have the extension vectr")
    ]
    (finding,) = found(doctor(on_postgresql, {"servers.main.extensions": "plpgsql"}), "extensions on main")
    assert (finding["state"], finding["detail"]) == ("ok", "plpgsql can be made")


def test_replicas_that_are_none_are_named(
    doctor: Doctor, on_postgresql: Mapping[str, str], postgres_server: URL
) -> None:
    addresses = f"{postgres_server.query['host']} {NOWHERE}" if "host" in postgres_server.query else NOWHERE
    findings = [
        found(doctor(on_postgresql, {"servers.main.replicas": addresses}), f"replica {address} of main")
        for address in addresses.split()
    ]
    assert [each["state"] for (each,) in findings] == ["warning"] * len(findings)
    assert "no standby" in findings[0][0]["detail"] or len(findings) == 1
    assert "does not answer" in findings[-1][0]["detail"]


def test_a_storage_that_cannot_be_written_to_is_wrong(
    doctor: Doctor, on_postgresql: Mapping[str, str], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    check = "storage of files"
    (broken,) = found(doctor(on_postgresql, {"files.storage": str(tmp_path / "file" / "below")}), check)
    (sound,) = found(doctor(on_postgresql, {"files.storage": str(tmp_path / "files")}), check)
    assert (broken["state"], sound["state"]) == ("wrong", "ok")
    assert f"{tmp_path}/files, which must be the same on all machines" in sound["detail"]


def test_a_pgbouncer_that_does_not_answer_is_named(doctor: Doctor, on_postgresql: Mapping[str, str]) -> None:
    nobody = f"postgresql+psycopg2://{NOWHERE}/"
    former = {"tenancy.former_secret": "a secret from before, which is as long as the present one"}
    result = doctor(on_postgresql, {"pgbouncer.main": nobody, "user_db.pgbouncer": nobody, **former})
    assert [item["state"] for item in found(result, "settings")] == ["ok", "warning"]
    wrong = {name: state for name, state in not_ok(result).items() if state == "wrong"}
    assert wrong == {"pgbouncer.main": "wrong", "user_db.pgbouncer": "wrong"}


def test_a_role_that_may_not_make_databases_is_named(
    doctor: Doctor, on_postgresql: Mapping[str, str], postgres_server: URL
) -> None:
    role = f"doctor_{secrets.token_hex(4)}"
    engine = create_engine(postgres_server, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with engine.connect() as connection:
        connection.exec_driver_sql(f"CREATE ROLE {role} LOGIN CREATEROLE PASSWORD '{PASSWORD}'")
        connection.exec_driver_sql(f"GRANT CONNECT ON DATABASE postgres TO {role}")
    url = postgres_server.set(username=role, password=PASSWORD, database="").render_as_string(hide_password=False)
    result = doctor(on_postgresql, {"servers.main": url})
    with engine.connect() as connection:
        connection.exec_driver_sql(f"DROP OWNED BY {role}; DROP ROLE {role}")
    (finding,) = found(result, "server main")
    assert (finding["state"], result.status) == ("wrong", 1)
    assert finding["advice"] == f'As a superuser, run `ALTER ROLE "{role}" CREATEDB`'


def test_files_that_are_open_to_others_are_counted(done: Command, ini: Path, tmp_path: Path) -> None:
    done("tenants", "create", "acme")
    loose = {item["check"] for item in done("doctor", "--json").json["items"] if item["state"] == "warning"}
    assert loose == {"backups"}
    for path in [tmp_path / "user.sqlite", *(tmp_path / "tenants").glob("tenant_*.sqlite"), tmp_path / "tenants"]:
        path.chmod(0o755)
    database, tenants = found(done("doctor", "--json"), "files")
    assert f" at {tmp_path}/user.sqlite open to the group or to others" in database["detail"]
    assert tenants["detail"].startswith("2 files and directories at ")
    assert tenants["advice"] == f"Run `chmod -R go= {tmp_path}/tenants`"


def test_an_ini_file_with_secrets_is_for_few(run: Command, tmp_path: Path) -> None:
    base, ini = tmp_path / "base.ini", tmp_path / "tenantapp.ini"
    base.write_text(f"[app:main]\nuse = egg:tenantapp\nuser_db.url = {DOWN}users\n")
    ini.write_text("[app:main]\nuse = config:base.ini\nsession.idle_timeout = soon\n")
    for path in (base, ini):
        path.chmod(0o644)
    result = run("--ini", str(ini), "doctor", "--json")
    with_secrets, without = sorted(found(result, "ini file"), key=lambda item: item["state"], reverse=True)
    assert (with_secrets["state"], without["state"]) == ("warning", "ok")
    assert with_secrets["advice"].startswith(f"Run `chmod o= {base}`")
    base.chmod(0o640)
    ini.chmod(0o666)
    result = run("--ini", str(ini), "doctor", "--json")
    assert {item["detail"] for item in found(result, "ini file") if item["state"] == "warning"} == {
        f"everybody on this machine can change {ini}"
    }


def test_a_directory_that_may_not_be_written_to_is_named(
    done: Command, run: Command, ini: Path, tmp_path: Path
) -> None:
    (tmp_path / "backups").mkdir(exist_ok=True)
    (tmp_path / "tenants").mkdir(exist_ok=True)
    ini.write_text(f"{ini.read_text()}backups.store = {tmp_path}/backups\n")
    for path in (tmp_path / "backups", tmp_path / "tenants"):
        path.chmod(0o500)
    with bound_by_permissions():
        result = run("doctor", "--json")
    assert result.status == 1
    assert not_ok(result) == {"server main": "wrong", "backups": "wrong"}
    assert "backups.store" in found(result, "backups")[0]["advice"]
    assert list((tmp_path / "backups").iterdir()) == []


@pytest.mark.parametrize("kind", ["nothing", "directory", "FIFO", "unreadable", "nonsense"])
def test_without_a_configuration_there_is_no_traceback(run: Command, tmp_path: Path, kind: str) -> None:
    ini = tmp_path / "tenantapp.ini"
    if kind == "directory":
        ini.mkdir()
    elif kind == "FIFO":
        os.mkfifo(ini)
    elif kind != "nothing":
        ini.write_bytes(b"\xff\x00[")
        ini.chmod(0o600 if kind == "nonsense" else 0)
    with bound_by_permissions():
        result = run("--ini", str(ini), "doctor")
    assert result.status == 1
    assert "settings     wrong    " in result.out
    assert "not checked  warning  domain, user database" in result.out


def test_where_every_database_is_missing_there_is_no_traceback(run: Command, ini: Path) -> None:
    result = run("doctor", "--json")
    assert result.status == 1
    assert not_ok(result) == {"user database": "wrong", "backups": "warning", "not checked": "warning"}


def test_what_a_check_raises_is_one_more_finding(ini: Path) -> None:
    def broken(examination: Examination) -> Iterator[Finding]:
        raise ZeroDivisionError("never\nmind")
        yield

    found = list(examine(CommandsInstallation(ini), [Check("odd", broken), Check("next", broken, ("odd",))]))
    assert [(finding.check, finding.state) for finding in found] == [("odd", "wrong"), ("not checked", "warning")]
    assert found[0].detail == "ZeroDivisionError: never"


@pytest.mark.parametrize(("ahead", "state"), [(1.9, "ok"), (-2.1, "warning"), (29, "warning"), (-31, "wrong")])
def test_clocks_that_differ_are_named(ini: Path, ahead: float, state: State) -> None:
    clocks = {"user database": 0.0, "server main": ahead}
    (finding,) = databases.clock(Examination(CommandsInstallation(ini), clocks))
    assert finding.state == state
    if state != "ok":
        assert (
            finding.detail
            == f"this machine's is {abs(ahead):.1f} s {'behind' if ahead > 0 else 'ahead of'} that of server main"
        )
