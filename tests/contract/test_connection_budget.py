"""However many tenants there are, a process holds no more connections to a server than its budget."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import func, select, text

from tenantapp.identity.local_access import local_access
from tenantapp.identity.models import Tenant
from tenantapp.sql.errors import ConnectionsSpent
from tenantapp.tenancy.access import Access
from tenantapp.tenancy.models import TenantIdentity
from tenantapp.tenancy.server_engines import ServerEngines
from tests.installation import Client, Installation

BUDGET = 10


@pytest.fixture(scope="module")
def fleet(make_installation: Any) -> Iterator[tuple[Installation, list[Access]]]:
    """A hundred tenants and a budget of ten connections."""
    with make_installation(**{"connections.budget": str(BUDGET)}) as installation:
        for number in range(98):
            installation.create_tenant(f"tenant-{number}")
        with installation.registry.user_db.begin(read_only=True) as session:
            slugs = session.scalars(select(Tenant.slug)).all()
            accesses = [local_access(session, slug) for slug in slugs]
        yield installation, accesses
        assert installation.checkedout() == 0


@pytest.fixture
def engines(fleet: tuple[Installation, list[Access]]) -> Iterator[ServerEngines]:
    """The engines of the one server, with nothing connected yet."""
    installation, _ = fleet
    installation.close()
    engines = installation.registry.tenant_dbs.engines["main"]
    assert engines.budget.numbers().open == 0
    yield engines
    engines.budget.set_limit(BUDGET)


def ask(installation: Installation, access: Access, seconds: float = 0.0) -> Any:
    """Whose data is this? Takes some time over it."""
    with installation.registry.tenant_dbs.begin(access, read_only=True) as session:
        found = session.scalar(select(TenantIdentity.tenant_id))
        time.sleep(seconds)
        return found


def test_a_hundred_tenants_at_once(fleet: tuple[Installation, list[Access]], engines: ServerEngines) -> None:
    installation, accesses = fleet
    most: list[int] = []

    def serve(access: Access) -> tuple[Any, Any]:
        found = ask(installation, access, 0.01)
        most.append(engines.budget.numbers().open)
        assert access.tenant is not None
        return access.tenant.id, found

    started = time.monotonic()
    with ThreadPoolExecutor(100) as executor:
        answers = list(executor.map(serve, accesses))
    assert time.monotonic() - started < 10
    assert len(answers) == 100
    assert all(asked == found for asked, found in answers)
    assert max(Counter(found for _, found in answers).values()) == 1
    assert max(most) <= BUDGET
    numbers = engines.budget.numbers()
    assert (numbers.open, numbers.idle, numbers.waiting, numbers.refused) == (BUDGET, BUDGET, 0, 0)
    assert numbers.evicted >= 90
    assert numbers.waited > 0


def test_the_longest_idle_makes_room(fleet: tuple[Installation, list[Access]], engines: ServerEngines) -> None:
    installation, accesses = fleet
    for access in accesses[:BUDGET]:
        ask(installation, access)
    ask(installation, accesses[0])  # used again: now the second is the longest idle
    ask(installation, accesses[BUDGET])
    pools = [installation.registry.tenant_dbs.for_access(access).engine.pool for access in accesses[: BUDGET + 1]]
    assert [len(pool.idle) for pool in pools] == [1, 0] + [1] * (BUDGET - 1)


def test_waiting_in_vain_ends_in_time(fleet: tuple[Installation, list[Access]], engines: ServerEngines) -> None:
    installation, accesses = fleet
    tenant_dbs = installation.registry.tenant_dbs
    held = [tenant_dbs.for_access(access).engine.connect() for access in accesses[:BUDGET]]
    started = time.monotonic()
    with pytest.raises(ConnectionsSpent):
        ask(installation, accesses[BUDGET])
    assert 1.5 < time.monotonic() - started < 4
    bob = Client(installation.app).sign_in("bob")
    answer = bob.get("/nodes")
    assert (answer.status_int, answer.json["code"]) == (503, "busy")
    assert int(answer.headers["Retry-After"]) > 0
    for connection in held:
        connection.close()
    assert bob.get("/nodes").status_int == 200
    assert engines.budget.numbers().refused == 2


def test_a_larger_limit_serves_those_who_wait(fleet: tuple[Installation, list[Access]], engines: ServerEngines) -> None:
    installation, accesses = fleet
    engines.budget.set_limit(1)
    held = installation.registry.tenant_dbs.for_access(accesses[0]).engine.connect()
    with ThreadPoolExecutor(3) as executor:
        answers = [executor.submit(ask, installation, access) for access in accesses[1:4]]
        while engines.budget.numbers().waiting < 3:
            time.sleep(0.01)
        engines.budget.set_limit(BUDGET)
        found = [answer.result() for answer in answers]
    held.close()
    assert found == [access.tenant.id for access in accesses[1:4] if access.tenant]


def test_a_loud_tenant_keeps_to_its_share(fleet: tuple[Installation, list[Access]], engines: ServerEngines) -> None:
    """Twenty threads for one tenant, and then one for each of four others: these come first when a place is free."""
    installation, accesses = fleet
    served: list[str] = []
    places, done = threading.Semaphore(0), threading.Event()

    def work(access: Access, name: str) -> None:
        with installation.registry.tenant_dbs.begin(access, read_only=True) as session:
            session.scalar(select(TenantIdentity.tenant_id))
            served.append(name)
            if name == "loud":
                places.acquire()
            else:
                done.wait(20)

    def begin(access: Access, name: str, count: int) -> None:
        threads.extend(threading.Thread(target=work, args=(access, name)) for _ in range(count))
        for thread in threads[-count:]:
            thread.start()

    def wait_until(condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 20
        while not condition():
            assert time.monotonic() < deadline, (engines.budget.numbers(), served)
            time.sleep(0.005)

    threads: list[threading.Thread] = []
    # To connect takes long on a busy machine, so those who wait come after it.
    begin(accesses[0], "loud", BUDGET)
    wait_until(lambda: len(served) == BUDGET)
    begin(accesses[0], "loud", 10)
    wait_until(lambda: engines.budget.numbers().waiting == 10)
    for access in accesses[1:5]:
        begin(access, "quiet", 1)
    wait_until(lambda: engines.budget.numbers().waiting == 14)
    places.release(4)
    wait_until(lambda: len(served) == BUDGET + 4)
    assert served == ["loud"] * BUDGET + ["quiet"] * 4
    done.set()
    places.release(20)
    for thread in threads:
        thread.join()
    assert Counter(served) == {"loud": 20, "quiet": 4}


def test_what_cannot_connect_takes_no_place(fleet: tuple[Installation, list[Access]], engines: ServerEngines) -> None:
    installation, accesses = fleet
    tenant_dbs = installation.registry.tenant_dbs
    engine = tenant_dbs.engines["main"].make(
        installation.registry.servers["main"].tenant_url("tenant_not_there"),
        unavailable=lambda failure: LookupError("not there"),
        verify=lambda connection: None,
    )
    for _ in range(BUDGET + 5):
        with pytest.raises(LookupError):
            engine.connect()
    assert engines.budget.numbers().open == 0
    assert ask(installation, accesses[0])


def test_a_broken_connection_gives_its_place_back(
    fleet: tuple[Installation, list[Access]], engines: ServerEngines
) -> None:
    installation, accesses = fleet
    engine = installation.registry.tenant_dbs.for_access(accesses[0]).engine
    for _ in range(3):
        connection = engine.connect()
        connection.invalidate()
        connection.close()
    assert engines.budget.numbers().open == 0


def test_one_that_is_given_back_after_its_engine_was_forgotten_is_closed(
    fleet: tuple[Installation, list[Access]], engines: ServerEngines
) -> None:
    installation, accesses = fleet
    factory = installation.registry.tenant_dbs.for_access(accesses[0])
    connection = factory.engine.connect()
    factory.dispose()
    connection.close()
    assert engines.budget.numbers().open == 0
    assert ask(installation, accesses[0])


def test_a_smaller_limit_is_reached_by_and_by(fleet: tuple[Installation, list[Access]], engines: ServerEngines) -> None:
    installation, accesses = fleet
    tenant_dbs = installation.registry.tenant_dbs
    held = [tenant_dbs.for_access(access).engine.connect() for access in accesses[:BUDGET]]
    engines.budget.set_limit(3)
    for connection in held:
        connection.close()
    assert engines.budget.numbers().open == 3


def test_the_server_counts_no_more_either(
    fleet: tuple[Installation, list[Access]], engines: ServerEngines, engine_name: str
) -> None:
    """PostgreSQL's own count; on SQLite, the files that this process has open."""
    installation, accesses = fleet
    for access in accesses:
        ask(installation, access)
    time.sleep(0.2)  # a backend takes a moment to exit
    if engine_name == "postgresql":
        with installation.registry.user_db.begin(read_only=True) as session:
            count = session.scalar(
                text("SELECT count(*) FROM pg_stat_activity WHERE datname LIKE 'tenant\\_%' AND usename = datname")
            )
    else:
        import psutil

        directory = str(installation.registry.servers["main"].directory)
        opened = {each.path for each in psutil.Process().open_files() if each.path.startswith(directory)}
        count = len({path for path in opened if path.endswith(".sqlite")})
    assert count == BUDGET


def test_engines_share_what_is_dear(fleet: tuple[Installation, list[Access]], engines: ServerEngines) -> None:
    """The canary: with another SQLAlchemy this may stop being true, and then opening a tenant becomes slow."""
    installation, accesses = fleet
    one, other = (installation.registry.tenant_dbs.for_access(access).engine for access in accesses[:2])
    assert one.dialect is other.dialect
    assert one.pool is not other.pool
    statement = select(func.count()).select_from(TenantIdentity)
    with one.connect() as connection:
        assert connection.execute(statement).context.compiled is not None
    with other.connect() as connection:
        result = connection.execute(statement)
        assert result.context.cache_hit.name == "CACHE_HIT"


def test_unused_engines_are_let_go(fleet: tuple[Installation, list[Access]], engines: ServerEngines) -> None:
    installation, accesses = fleet
    tenant_dbs = installation.registry.tenant_dbs
    tenant_dbs.unused_engine = 0.0
    in_use = tenant_dbs.for_access(accesses[0]).engine.connect()
    for access in accesses[1:]:
        ask(installation, access)
    made = sum(tenant_dbs.for_access(access).is_made for access in accesses)
    assert made < 70
    assert tenant_dbs.for_access(accesses[0]).is_made
    in_use.close()
