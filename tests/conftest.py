"""The databases of the tests. What is asked of one engine is asked of the other."""

import gc
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.compiled import share_compiled_statements
from tests.durations import Durations, longest_first
from tests.installation import Client, Installation, rolled_back
from tests.known_structures import share_known_structures

pytest_plugins = ["tenantapp.testing.plugin"]

RAM = Path("/dev/shm")
ROOM = 6 * 2**30  # bytes
COLLECT_AFTER = (50_000, 10, 50)  # new objects, and how many searches among these for one among older ones


def pytest_configure(config: pytest.Config) -> None:
    """Keep temporary files in memory if there is room: a database is synced often, and there are thousands."""
    config.pluginmanager.register(Durations())
    share_compiled_statements()
    if "TMPDIR" not in os.environ and os.access(RAM, os.W_OK) and shutil.disk_usage(RAM).free > ROOM:
        os.environ["TMPDIR"] = tempfile.tempdir = str(RAM)
    share_known_structures()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    longest_first(items)


def pytest_collection_finish() -> None:
    """Keep the collector away from what stays, the modules and the tests, and let it run less often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECT_AFTER)


@pytest.fixture(autouse=True)
def forgotten_modules(request: pytest.FixtureRequest) -> Iterator[None]:
    """Forgets the modules that a test has written to its directory and imported: the next test may write others."""
    directory = request.getfixturevalue("tmp_path") if "tmp_path" in request.fixturenames else None
    yield
    if directory is not None:
        beginning = f"{directory}{os.sep}"
        for name, module in list(sys.modules.items()):
            if str(getattr(module, "__file__", None)).startswith(beginning):
                del sys.modules[name]


@pytest.fixture(autouse=True)
def same_umask() -> Iterator[None]:
    """A command sets the umask of its process. What the next test makes may be for others to read."""
    before = os.umask(0o022)
    os.umask(before)
    yield
    os.umask(before)


@pytest.fixture(scope="session")
def new_installation() -> Callable[[dict[str, str]], Installation]:
    """Makes an installation with the tenants and the people of our own tests."""
    return Installation


@pytest.fixture
def installation(shared_installation: Installation) -> Iterator[Installation]:
    """An installation with people in it; whatever the test does to the databases is rolled back."""
    with rolled_back(shared_installation, recording=False) as installation:
        installation.mails.clear()  # of the tests before
        yield installation


@pytest.fixture
def client(installation: Installation) -> Client:
    """A browser page on the installation, nobody signed in."""
    return Client(installation.app)
