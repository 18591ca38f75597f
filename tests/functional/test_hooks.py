"""A domain's hooks through the command line and through the API with a worker."""

import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from threading import Event

import pytest
from sqlalchemy import select

from tenantapp.cli.installation import Installation as CommandsInstallation
from tenantapp.fleet.kinds import KINDS
from tenantapp.identity.local_access import local_access
from tenantapp.operations.fleet import Fleet
from tenantapp.operations.worker import Worker
from tenantapp.tenancy.databases import TenantDatabases
from tenantapp.tenancy.models import Change
from tenantapp.tenancy.server_engines import engines_of
from tenantapp.workspace.models import Author
from tests import seeding
from tests.functional.conftest import INI, Command
from tests.functional.operators import add_operator
from tests.installation import Client, Installation
from tests.shop import app_including


@pytest.fixture
def broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """While it is there, hooks fail for tenants that are called bad."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (tmp_path / "broken").touch()
    return tmp_path / "broken"


@pytest.fixture
def seeded(ini: Path, broken: Path) -> Path:
    """The configuration of the commands, with a domain that has hooks."""
    settings = {name.replace("_", ".", 1): value for name, value in seeding.SETTINGS.items()}
    ini.write_text(INI + "\n".join(f"{name} = {value}" for name, value in settings.items()))
    return ini


def left(fleet: Fleet, slug: str) -> list[str]:
    """What hooks have left in a tenant's database, in order."""
    databases = TenantDatabases(fleet.servers, engines_of(fleet.servers, fleet.settings))
    with fleet.user_db.begin(read_only=True) as session:
        access = local_access(session, slug)
    with databases.begin(access, read_only=True) as session:
        names = list(session.scalars(select(Author.name).order_by(Author.id)))
        tracked = session.scalars(select(Change.person_name)).all()
    databases.dispose()
    assert tracked == ["Local script"], "the row that is tracked is recorded as changed"
    return names


def test_of_many_tenants_one_fails_and_the_others_are_seeded(
    seeded: Path, done: Command, run: Command, tmp_path: Path
) -> None:
    (tmp_path / "tenants.csv").write_text("slug\nnorth\nbad\nsouth\n")
    result = run("tenants", "create", "--from", str(tmp_path / "tenants.csv"))
    assert result.status == 1
    assert (
        "line 3: The hook tests.seeding:seed (created) failed for the tenant bad: ValueError: no seeds." in result.err
    )
    assert [row["slug"] for row in done("tenants", "list", "--json").json["items"]] == ["north", "south"]
    with closing(CommandsInstallation(seeded)) as installation:
        for slug in ("north", "south"):
            assert left(installation.fleet, slug) == [f"created {slug}", "tagged"]


def test_a_rename_tells_the_hook_at_once_or_leaves_it_to_a_worker(
    seeded: Path, broken: Path, done: Command, run: Command
) -> None:
    done("tenants", "create", "north")
    done("worker", "--until-idle")  # it does what the hook has left for later
    assert done("tenants", "rename", "north", "south").out == "The tenant north is now called south.\n"
    result = run("tenants", "rename", "south", "bad")
    assert result.out == "The tenant south is now called bad.\n"
    assert result.status == 1
    assert "failed for the tenant bad" in result.err
    assert "`tenantapp worker` tries again." in result.err
    broken.unlink()
    (operation, _, _) = done("operations", "list", "--json").json["items"]
    assert (operation["kind"], operation["state"], operation["slug"]) == ("hook", "queued", "bad")
    done("operations", "retry", operation["id"])
    with closing(CommandsInstallation(seeded)) as installation:
        assert left(installation.fleet, "bad")[2:] == ["greeted north", "north is south", "south is bad"]


@pytest.fixture
def otto(real_installation: Installation) -> Iterator[Client]:
    """An operator, in an application whose domain has hooks."""
    app = app_including(real_installation, seeding.includeme)
    original, real_installation.app = real_installation.app, app
    yield add_operator(real_installation)
    real_installation.app = original
    app.registry.user_db.dispose()
    app.registry.access_reader.database.dispose()
    app.registry.tenant_dbs.dispose()


def test_what_is_asked_for_over_http_a_worker_does_with_the_hooks(
    otto: Client, real_installation: Installation, broken: Path
) -> None:
    fleet = otto.http.app.registry.fleet
    for slug in ("bad", "north"):
        assert otto.post("/fleet/tenants", {"slug": slug}).status_int == 202
    Worker(fleet, KINDS).run(Event(), until_idle=True)
    assert otto.patch("/fleet/tenants/north", {"slug": "south"}).status_int == 200
    Worker(fleet, KINDS).run(Event(), until_idle=True)
    items = {(row["kind"], row["slug"]): row for row in otto.get("/fleet/operations").json["items"]}
    assert items["create", "bad"]["state"] == "failed"
    assert "seeding:seed (created) failed for the tenant bad" in items["create", "bad"]["error"]
    assert items["hook", "south"]["state"] == "succeeded"
    assert left(fleet, "south") == ["created north", "tagged", "north is south"]
    assert otto.get("/fleet/tenants/bad").status_int == 404
