"""The simulation of large installations, and the page that shows its tables."""

from itertools import cycle

import pytest

from benchmarks import simulate
from benchmarks.simulation import (
    Installation,
    Kept,
    Parts,
    Server,
    Serving,
    Simulation,
    Station,
    arrivals,
    client,
    percentile,
)

THREADS = 4
PARTS = Parts(serving=0.001, user=0.0003, tenant=0.0005, client=0.0, connecting_serving=0.002, connecting_tenant=0.008)
WHOLE = PARTS.serving + PARTS.user + PARTS.tenant


def installation(seed: int = 1, *, cores: int = 8, budget: int = 10) -> Installation:
    """One process on a machine of its own, beside a user database and a server of tenants with these cores."""
    simulation = Simulation(seed)
    machine, user, server = (Station(simulation, cores) for _ in range(3))
    process = Serving(Station(simulation, THREADS), Station(simulation, 1), machine, budget)
    servers = [Server(server), Server(Station(simulation, cores))]
    return Installation(simulation, PARTS, [process], user, servers, lambda tenant: tenant % 2)


def run(made: Installation, *, clients: int = 0, rate: float = 0.0, seconds: float = 3.0) -> None:
    """Let clients, or requests at this rate, ask for ten tenants in turn, and count after the first second."""
    tenants = cycle(range(10))

    def route() -> tuple[Serving, int]:
        return made.processes[0], next(tenants)

    for _ in range(clients):
        made.simulation.start(client(made, route))
    if rate:
        made.simulation.start(arrivals(made, rate, route))
    made.simulation.run(1.0)
    made.begin_count()
    made.simulation.run(1.0 + seconds)


def test_no_more_is_served_than_the_interpreter_can_do() -> None:
    made = installation()
    run(made, clients=20)
    served = len(made.counts.took) / 3
    assert 0.95 / PARTS.serving < served < 1.02 / PARTS.serving
    assert made.processes[0].interpreter.busy > 0.99


@pytest.mark.parametrize("load", [{"clients": 8}, {"rate": 500.0}], ids=["clients", "arrivals"])
def test_as_many_are_there_as_come_in_the_time_that_they_take(load: dict[str, float]) -> None:
    """Little's law. Those that began before the count are a small error."""
    made = installation()
    run(made, **load)  # type: ignore[arg-type]
    took = made.counts.took
    assert made.processes[0].threads.present == pytest.approx(sum(took) / 3, rel=0.03)


def test_a_station_is_as_busy_as_its_work_makes_it() -> None:
    made = installation(cores=2)
    run(made, rate=600.0)
    rate = len(made.counts.took) / 3
    assert made.user_database.busy == pytest.approx(rate * PARTS.user / 2, rel=0.05)
    assert made.processes[0].interpreter.busy == pytest.approx(rate * PARTS.serving, rel=0.05)
    assert made.counts.connected == 0


def test_a_request_without_a_queue_takes_the_sum_of_its_parts() -> None:
    made = installation()
    run(made, clients=1)
    assert percentile(made.counts.took, 0.5) == pytest.approx(WHOLE, rel=0.1)


def test_with_too_small_a_budget_each_request_makes_a_connection() -> None:
    made = installation(budget=4)
    run(made, clients=1)  # in turn, so that a connection is always closed before its tenant's next request
    assert made.counts.connected == pytest.approx(made.counts.served, rel=0.02)
    longer = PARTS.connecting_serving + PARTS.connecting_tenant
    assert percentile(made.counts.took, 0.5) == pytest.approx(WHOLE + longer, rel=0.1)
    assert all(len(kept) <= 4 for kept in made.processes[0].kept.values())


def test_the_connection_that_was_unused_longest_is_closed() -> None:
    kept = Kept(2)
    for tenant in (1, 2, 1, 3):
        kept.take(tenant)
        kept.give_back(tenant)
    assert [kept.take(tenant) for tenant in (1, 3, 2)] == [True, True, False]


def test_a_silent_server_leaves_a_thread_to_the_tenants_of_others() -> None:
    made = installation()
    made.servers[1].silent = True
    run(made, rate=100.0, seconds=20.0)  # every other one to a tenant of that server
    counts = made.counts
    assert counts.timed_out < 40
    assert counts.refused > 800
    assert counts.served == pytest.approx(1000, rel=0.1)


def test_the_same_seed_gives_the_same_run() -> None:
    found = []
    for seed in (1, 1, 2):
        made = installation(seed)
        run(made, clients=3, seconds=0.5)
        found.append(made.counts.took)
    assert found[0] == found[1] != found[2]


def test_the_page_has_what_the_program_prints() -> None:
    """Of the tables that take no time, and of one row of the simulation."""
    measured = simulate.Measured.read()
    shown = simulate.PAGE.read_text().split(simulate.BEGIN)[1].split(simulate.END)[0]
    for table in (simulate.paper, simulate.hot):
        assert table(measured).markdown() in shown
    row = simulate.small_ones(measured)[1].row(measured.hand_over)
    cells = [column.text(row) for column in simulate.SMALL_COLUMNS]
    assert f"| {' | '.join(cells)} |" in shown


def test_the_simulation_agrees_with_what_was_measured() -> None:
    """Of one tenant within 15 %."""
    measured = simulate.Measured.read()
    for small in simulate.small_ones(measured)[:2]:
        assert small.row(measured.hand_over, seconds=2.0)["ratio"] == pytest.approx(1.0, abs=0.15)
