"""The pytest plugin for the tests of a domain. Name it in the conftest.py at the root of your tests:

    pytest_plugins = ["tenantapp.testing.plugin"]

The page docs/testing.md has its fixtures. The others here may be overridden, and may change.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Final

import pytest
from sqlalchemy.engine import URL

from tenantapp.outgoing.addresses import Addresses
from tenantapp.setting_table import ENVIRONMENT_PREFIX
from tenantapp.settings import ENVIRONMENT_OTHERS, SettingsError
from tenantapp.testing import migrations
from tenantapp.testing.client import Client
from tenantapp.testing.clock import Clock
from tenantapp.testing.golden import golden_on
from tenantapp.testing.ini import domain_settings
from tenantapp.testing.installation import Installation, on_postgres, on_sqlite
from tenantapp.testing.leaks import LeakCheck
from tenantapp.testing.mails import Mails
from tenantapp.testing.postgres import NoPostgres, running_postgres
from tenantapp.testing.queries import StatementRecorder, recorder_of
from tenantapp.testing.receivers import Receiver, receiving
from tenantapp.testing.resource_checks import Cast
from tenantapp.testing.rolling_back import rolled_back

ENGINES: Final = ("sqlite", "postgresql")
TENANTS: Final = ("acme", "other")
MARKERS: Final = ("real_commits: give the test databases of its own, where everything is really committed",)

Make = Callable[..., AbstractContextManager[Any]]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add what pyproject.toml may say of the tests of a domain."""
    parser.addini("tenantapp_ini", "the ini file that has the settings of the domain", default="development.ini")
    parser.addini("tenantapp_engines", "the engines to test on", type="args", default=list(ENGINES))
    parser.addini("tenantapp_tenants", "the tenants of the tests; they are in the first", type="args", default=TENANTS)


def pytest_configure(config: pytest.Config) -> None:
    """Declare the markers."""
    for marker in MARKERS:
        config.addinivalue_line("markers", marker)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the tests on engines that the configuration does not name."""
    engines = config.getini("tenantapp_engines")
    if wrong := [name for name in engines if name not in ENGINES]:
        raise pytest.UsageError(f"tenantapp_engines names {wrong[0]}; the engines are {' and '.join(ENGINES)}")
    if set(engines) == set(ENGINES):
        return
    on_others = [item for item in items if _engine_of(item) not in (None, *engines)]
    config.hook.pytest_deselected(items=on_others)
    items[:] = [item for item in items if item not in on_others]


def _engine_of(item: pytest.Item) -> str | None:
    callspec = getattr(item, "callspec", None)
    return None if callspec is None else callspec.params.get("engine_name")


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[URL]:
    """Start a PostgreSQL server and give the URL of its superuser. Without one, tests are skipped; under CI, fail."""
    try:
        with running_postgres() as url, golden_on(url):
            yield url
    except NoPostgres as error:
        if os.environ.get("CI") == "true":
            pytest.fail(f"{error}.")
        pytest.skip(f"{error}.")


@pytest.fixture(scope="session", params=ENGINES)
def engine_name(request: pytest.FixtureRequest) -> str:
    """Return the engine that this run of the test is on."""
    return str(request.param)


@pytest.fixture(scope="session")
def tenantapp_settings(pytestconfig: pytest.Config) -> dict[str, str]:
    """Return the settings of the application, as text: those of ``tenantapp_ini``, without what names places."""
    try:
        return domain_settings(pytestconfig.rootpath / pytestconfig.getini("tenantapp_ini"))
    except SettingsError as error:
        pytest.fail(f"{error}. The setting tenantapp_ini of pytest names the ini file of the domain.", pytrace=False)


@pytest.fixture(scope="session")
def new_installation(
    request: pytest.FixtureRequest, pytestconfig: pytest.Config
) -> Iterator[Callable[[dict[str, str]], Installation]]:
    """Return what makes an installation on databases that settings name. The environment's settings do not count."""
    tenants: list[str] = pytestconfig.getini("tenantapp_tenants")
    with pytest.MonkeyPatch.context() as patch:
        for name in set(os.environ) - ENVIRONMENT_OTHERS:
            if name.startswith(ENVIRONMENT_PREFIX):
                patch.delenv(name)
        settings: dict[str, str] = request.getfixturevalue("tenantapp_settings")
        yield lambda databases: Installation({**settings, **databases}, tenants)


@pytest.fixture(scope="session")
def make_installation(
    engine_name: str,
    new_installation: Callable[[dict[str, str]], Any],
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
) -> Make:
    """Return what makes a context manager of a new installation on the engine of this run; keywords are settings."""

    def make(**settings: str) -> AbstractContextManager[Any]:
        if engine_name == "sqlite":
            directory: Path = tmp_path_factory.mktemp("installation")
            return on_sqlite(new_installation, directory, settings)
        return on_postgres(new_installation, request.getfixturevalue("postgres_server"), settings)

    return make


@pytest.fixture(scope="session")
def shared_on_sqlite(
    new_installation: Callable[[dict[str, str]], Any], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Any]:
    """Make the installation on SQLite of the tests that roll back."""
    with on_sqlite(new_installation, tmp_path_factory.mktemp("shared"), {}) as installation:
        yield installation


@pytest.fixture(scope="session")
def shared_on_postgresql(new_installation: Callable[[dict[str, str]], Any], postgres_server: URL) -> Iterator[Any]:
    """Make the installation on PostgreSQL of the tests that roll back."""
    with on_postgres(new_installation, postgres_server, {}) as installation:
        yield installation


@pytest.fixture
def shared_installation(engine_name: str, request: pytest.FixtureRequest) -> Any:
    """Return the installation of all tests that roll back; it is kept until the end, whichever engine is next."""
    return request.getfixturevalue(f"shared_on_{engine_name}")


@pytest.fixture
def real_installation(make_installation: Make) -> Iterator[Any]:
    """Make an installation of the test's own, where everything is really committed."""
    with make_installation() as installation:
        yield installation
        assert installation.checkedout() == 0, "a connection leaked"


@pytest.fixture
def installation(engine_name: str, request: pytest.FixtureRequest) -> Iterator[Any]:
    """Give the application and its databases. What the test does to them is rolled back, without ``real_commits``."""
    if request.node.get_closest_marker("real_commits") is not None:
        yield request.getfixturevalue("real_installation")
        return
    with rolled_back(request.getfixturevalue("shared_installation")) as installation:
        yield installation


@pytest.fixture
def client(installation: Installation) -> Callable[..., Client]:
    """Make clients: ``client("author")``, ``client("author", tenant="other")``, ``client(None)`` for nobody."""

    def make(role: str | None, *, tenant: str | None = None, login: str | None = None) -> Client:
        """Return a client that is signed in as a person with this role in this tenant; without a role, as nobody."""
        page = Client(installation.app)
        if role is None:
            return page
        return page.sign_in(installation.person(role, tenant, login=login), tenant or installation.tenants[0])

    return make


@pytest.fixture
def cast(client: Callable[..., Client], installation: Installation) -> Callable[..., Cast]:
    """Make the cast of ``resource_checks``: ``cast(lambda number: {"sku": f"a-{number}"})``."""

    def make(
        body: Callable[[int], dict[str, Any]],
        change: Callable[[int], dict[str, Any]] | None = None,
        *,
        writer: str = "author",
        reader: str = "reader",
    ) -> Cast:
        """Return the people of these roles, and what they write: see ``Cast``."""
        return Cast(
            writer=client(writer).send,
            colleague=client(writer, login="colleague").send,
            reader=client(reader).send,
            elsewhere=client(writer, tenant=installation.tenants[1]).send,
            nobody=client(None).send,
            body=body,
            change=change,
        )

    return make


@pytest.fixture
def mails(installation: Installation) -> Mails:
    """Give the mail that the test sends, once its jobs have run: a sequence of ``EmailMessage``."""
    installation.mails.clear()
    return installation.mails


@pytest.fixture
def receiver(installation: Installation, monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    """Start a receiver on this machine, and let webhooks have its address, ``receiver.url``."""
    here = Addresses(allow_http=True, allow_private=True)
    monkeypatch.setattr(installation.registry, "webhook_addresses", here)
    with receiving() as receiver:
        yield receiver


@pytest.fixture
def check_migrations(installation: Installation) -> Callable[[], None]:
    """Compare the models with what the migrations make: ``check_migrations()``."""
    return lambda: migrations.check_migrations(installation)


@pytest.fixture
def recorded(installation: Installation) -> Callable[[], StatementRecorder]:
    """Record statements: ``with recorded() as queries: ...``, and then ``len(queries)`` and ``queries.statements``."""
    return lambda: recorder_of(installation)


@pytest.fixture
def check_leaks(installation: Installation) -> LeakCheck:
    """Replay every route as another tenant: ``check_leaks()``, or ``check_leaks(fill)`` with rows of ``fill``."""
    return LeakCheck(installation)


@pytest.fixture
def clock() -> Iterator[Clock]:
    """Change what the application takes for the present: ``clock.freeze()``, ``clock.advance(days=1)``."""
    clock = Clock()
    clock.start()
    yield clock
    clock.stop()
