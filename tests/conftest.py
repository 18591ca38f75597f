"""The databases of the tests. What is asked of one engine is asked of the other."""

import gc
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.engine import URL

from tests.compiled import share_compiled_statements
from tests.durations import Durations, longest_first
from tests.golden import golden_on
from tests.installation import (
    Client,
    Installation,
    postgres_installation,
    rolled_back,
    sqlite_installation,
)
from tests.postgres import running_postgres

ENGINES = ("sqlite", "postgresql")
RAM = Path("/dev/shm")
ROOM = 6 * 2**30  # bytes
COLLECT_AFTER = (50_000, 10, 50)  # new objects, and how many searches among these for one among older ones


def pytest_configure(config: pytest.Config) -> None:
    """Keep temporary files in memory if there is room: a database is synced often, and there are thousands."""
    config.pluginmanager.register(Durations())
    share_compiled_statements()
    if "TMPDIR" not in os.environ and os.access(RAM, os.W_OK) and shutil.disk_usage(RAM).free > ROOM:
        os.environ["TMPDIR"] = tempfile.tempdir = str(RAM)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    longest_first(items)


def pytest_collection_finish() -> None:
    """Keep the collector away from what stays, the modules and the tests, and let it run less often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECT_AFTER)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[URL]:
    """A running PostgreSQL server, as its superuser."""
    with running_postgres() as url, golden_on(url):
        yield url


@pytest.fixture(scope="session", params=ENGINES)
def engine_name(request: pytest.FixtureRequest) -> str:
    """The engine that this run of the test is on."""
    return str(request.param)


@pytest.fixture(scope="session")
def make_installation(
    engine_name: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Any:
    """Makes a context manager of a new installation on the engine of this run; keywords are settings."""

    def make(**settings: str) -> Any:
        if engine_name == "sqlite":
            directory: Path = tmp_path_factory.mktemp("installation")
            return sqlite_installation(directory, **settings)
        return postgres_installation(request.getfixturevalue("postgres_server"), **settings)

    return make


@pytest.fixture(scope="session")
def shared_on_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with sqlite_installation(tmp_path_factory.mktemp("shared")) as installation:
        yield installation


@pytest.fixture(scope="session")
def shared_on_postgresql(postgres_server: URL) -> Iterator[Installation]:
    with postgres_installation(postgres_server) as installation:
        yield installation


@pytest.fixture
def shared_installation(engine_name: str, request: pytest.FixtureRequest) -> Installation:
    """One installation for all tests that roll back; kept until the end, whichever engine the next test is on."""
    shared: Installation = request.getfixturevalue(f"shared_on_{engine_name}")
    return shared


@pytest.fixture
def installation(shared_installation: Installation) -> Iterator[Installation]:
    """An installation with people in it; whatever the test does to the databases is rolled back."""
    with rolled_back(shared_installation) as installation:
        yield installation


@pytest.fixture
def client(installation: Installation) -> Client:
    """A browser page on the installation, nobody signed in."""
    return Client(installation.app)


@pytest.fixture
def real_installation(make_installation: Any) -> Iterator[Installation]:
    """An installation of the test's own, with people in it, where everything is really committed."""
    with make_installation() as installation:
        yield installation
        assert installation.checkedout() == 0, "a connection leaked"
