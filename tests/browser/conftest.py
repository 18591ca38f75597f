"""A browser, and a site to visit."""

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from tenantapp.identity.local_access import local_access
from tests.browser.everything import Base, includeme
from tests.browser.example import served_example
from tests.browser.site import Site, demo_in_thread
from tests.browser.visitor import Visitor
from tests.browser.workshop import Workshop, workshop_in
from tests.built_page import DIST, built_page
from tests.chromium import chromium
from tests.dns_server import DnsServer, running_dns_server
from tests.installation import sqlite_installation
from tests.programs import needed
from tests.shop import app_including
from tests.transactions.server import serving

PATIENCE = 60_000  # milliseconds that a step may take on a busy machine
# As root there is no sandbox, and in containers little shared memory. What is drawn is drawn by the processor, and
# nobody sees it: without a process for it, and without the layers of a screen, a tenth of the time is saved.
OPTIONS = [
    *("--no-sandbox", "--disable-dev-shm-usage"),
    *("--disable-gpu", "--in-process-gpu", "--disable-gpu-compositing", "--disable-software-rasterizer"),
]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium, without a window."""
    program = needed(chromium)
    needed(built_page)
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=OPTIONS, timeout=60_000)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def dns() -> Iterator[DnsServer]:
    """A DNS server that the site asks. Each test publishes below a domain of its own."""
    with running_dns_server() as server:
        yield server


@pytest.fixture(scope="session")
def site(browser: Browser, dns: DnsServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The bundled application with the people and tenants of the demo. Each test makes rows of its own."""
    settings = (
        "backups.store = %(here)s/store",
        "single_sign_on.allow_http = true",
        "single_sign_on.allow_private = true",
        f"dns.servers = 127.0.0.1:{dns.port}",
    )
    with demo_in_thread(tmp_path_factory.mktemp("site"), "\n".join(settings)) as running:
        yield running


@pytest.fixture(scope="session")
def bookshop(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The example of a domain, with one shop and one person."""
    with served_example("bookshop", "author", tmp_path_factory.mktemp("bookshop")) as running:
        yield running


@pytest.fixture(scope="session")
def inventory(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The example with products, orders and jobs, with one company and its administrator."""
    with served_example("inventory", "admin", tmp_path_factory.mktemp("inventory")) as running:
        yield running


@pytest.fixture(scope="session")
def everything(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Resources with every type of field, and the people of the other tests."""
    directory = tmp_path_factory.mktemp("everything")
    with sqlite_installation(directory, **{"web.directory": str(DIST)}) as installation:
        with installation.registry.user_db.begin(read_only=True) as session:
            access = local_access(session, "acme")
        with installation.registry.tenant_dbs.begin(access) as session:
            Base.metadata.create_all(session.connection())
        with serving(app_including(installation, includeme)) as (_, port):
            yield Site(directory, port, {})


@pytest.fixture(scope="session")
def workshop(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workshop]:
    """The bundled application with the people of the other tests. Each test makes workspaces of its own."""
    with workshop_in(tmp_path_factory.mktemp("workshop")) as running:
        yield running


@pytest.fixture
def visit(browser: Browser) -> Iterator[Callable[..., Visitor]]:
    """Makes a visitor with a browser profile of their own; keywords are those of Playwright's contexts."""
    contexts = []

    def make(site: Site, **options: object) -> Visitor:
        context = browser.new_context(**{"locale": "en-GB", "reduced_motion": "reduce", **options})  # type: ignore[arg-type]
        context.set_default_timeout(PATIENCE)
        context.grant_permissions(["clipboard-write"])  # which a browser with a window gives by itself
        contexts.append(context)
        return Visitor(context, site.url)

    yield make
    for context in contexts:
        context.close()
