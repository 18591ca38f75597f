"""The faults: each makes something happen to a world, waits for its end, and repairs what an operator would."""

import signal
import time
from collections.abc import Callable
from contextlib import closing, suppress
from typing import Final, NamedTuple

import psycopg2
from sqlalchemy.engine import URL

from tests.chaos import cluster_faults
from tests.chaos.cluster_faults import SECONDS
from tests.chaos.worlds import Need, World, at_last, gone, kill, processes_of, start_postgres
from tests.postgres import stop_at_once
from tests.slow_databases import frozen

STEP_LASTS: Final = 3.0  # seconds that a clock shows a wrong time
AS_IT_DIES: Final = 1.0  # seconds that something is down, before it is started


class Fault(NamedTuple):
    """A fault, the engines on which it makes sense, what else it needs, and whether it cuts the network."""

    name: str
    happen: Callable[[World], None]
    engines: tuple[str, ...] = ("postgresql",)
    need: Need = Need.NOTHING
    needs_cuts: bool = False


def kill_a_worker(world: World) -> None:
    """The master starts another one, and the other worker serves meanwhile."""
    before = world.server.workers()
    victim = min(before)
    kill(victim)
    at_last(lambda: victim not in world.server.workers() and len(world.server.workers()) == len(before))


def kill_the_master(world: World) -> None:
    """Its workers end by themselves; then it is started, as systemd does."""
    workers = world.server.workers()
    kill(world.server.process.pid)
    world.server.process.wait()
    gone(*workers)
    world.server.start()


def reload(world: World) -> None:
    """All workers are replaced, one after the other."""
    before = world.server.workers()
    world.server.process.send_signal(signal.SIGHUP)
    at_last(lambda: not before & world.server.workers())


def kill_postmasters(world: World) -> None:
    """Both servers; what they have started ends, and they are started again."""
    killed = [process for server in world.postgres for process in processes_of(server)]
    kill(*(processes_of(server)[0] for server in world.postgres))
    gone(*killed)
    time.sleep(AS_IT_DIES)
    start_postgres(*world.postgres)


def freeze_postgres(world: World) -> None:
    """Every process of both servers stands still."""
    with frozen(world.users), frozen(world.tenants):
        time.sleep(SECONDS)


def terminate_backends(world: World) -> None:
    """Every connection is ended, again and again."""
    deadline = time.monotonic() + SECONDS
    statement = """
        SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
        WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'
    """
    with closing(superuser(world.users)) as users, closing(superuser(world.tenants)) as tenants:
        while time.monotonic() < deadline:
            for connection in (users, tenants):
                connection.cursor().execute(statement)
            time.sleep(0.1)


def superuser(server: URL) -> psycopg2.extensions.connection:
    """A connection as the superuser of a server of our own."""
    connection = psycopg2.connect(host=server.query["host"], user=server.username, dbname="postgres")
    connection.autocommit = True
    return connection


def take_users_away(world: World) -> None:
    """The server of the user database is stopped, and started again."""
    take_away(world.users)


def take_tenants_away(world: World) -> None:
    """The server of the tenants is stopped, and started again."""
    take_away(world.tenants)


def take_away(server: URL) -> None:
    processes = processes_of(server)
    stop_at_once(server)
    gone(*processes)
    time.sleep(SECONDS)
    start_postgres(server)


def fill_the_disk(world: World) -> None:
    """Nothing can be written any more, the log of PostgreSQL neither; then there is room again."""
    assert world.disk is not None
    ballast = world.disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            fill(file.write)
            for server in world.postgres[1:]:
                want_more_log(server)
            time.sleep(0.1)
    ballast.unlink()
    start_postgres(*world.postgres)  # it ends if it cannot recover for want of room


def fill_the_disk_of_logs(world: World) -> None:
    """Nobody can say anything any more, and all go on."""
    assert world.disk is not None
    ballast = world.disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            fill(file.write)
            time.sleep(0.1)
    ballast.unlink()


def step_the_clock(world: World) -> None:
    """The web node's clock goes forward and backward, by an hour and by a day, and is right again."""
    assert world.clock is not None
    for seconds in (3600, -3600, 86400, -86400, 0):
        world.clock.step(seconds)
        time.sleep(STEP_LASTS)


def want_more_log(server: URL) -> None:
    """Let a server begin the next file of its log, which is what stops it if there is no room."""
    with suppress(psycopg2.Error), closing(superuser(server)) as connection:
        connection.cursor().execute("SELECT pg_switch_wal()")


def fill(write: Callable[[bytes], int]) -> None:
    """Write until the disk is full."""
    for size in (1 << 20, 1 << 12):
        try:
            while write(bytes(size)):
                pass
        except OSError:
            continue


def kill_everything(world: World) -> None:
    """All at once, as when the machine is reset; then all is started."""
    workers = world.server.workers()
    databases = [process for server in world.postgres for process in processes_of(server)]
    kill(world.server.process.pid, *workers, *databases)
    world.server.process.wait()
    gone(*workers, *databases)
    time.sleep(AS_IT_DIES)
    start_postgres(*world.postgres)
    world.server.start()


def nothing(world: World) -> None:
    """For comparison."""
    time.sleep(SECONDS)


BOTH: Final = ("postgresql", "sqlite")
FAILOVER: Final = ("failover",)
FAULTS: Final = (
    Fault("nothing", nothing, BOTH),
    Fault("kill -9 of a worker", kill_a_worker, BOTH),
    Fault("kill -9 of the master", kill_the_master, BOTH),
    Fault("reload", reload, BOTH),
    Fault("kill -9 of both postmasters", kill_postmasters),
    Fault("PostgreSQL stands still for 6 s", freeze_postgres),
    Fault("all backends terminated for 6 s", terminate_backends),
    Fault("user database away for 6 s", take_users_away),
    Fault("tenants' server away for 6 s", take_tenants_away),
    Fault("kill -9 of everything", kill_everything, BOTH),
    Fault("disk full for 6 s", fill_the_disk, BOTH, Need.DISK),
    Fault("disk of PostgreSQL's write-ahead log full for 6 s", fill_the_disk, need=Need.DISK_OF_WAL),
    Fault("disk of all logs full for 6 s", fill_the_disk_of_logs, BOTH, Need.DISK_OF_LOGS),
    Fault("clock stepped by an hour and by a day", step_the_clock, BOTH, Need.CLOCK),
    Fault("switchover", cluster_faults.switch_over, FAILOVER),
    Fault("kill -9 of the primary's postmaster", cluster_faults.kill_primary, FAILOVER),
    Fault("kill -9 of the primary's node", cluster_faults.kill_node_of_primary, FAILOVER),
    Fault("the primary's node stands still", cluster_faults.freeze_node_of_primary, FAILOVER),
    Fault("the synchronous standby's node stands still", cluster_faults.freeze_synchronous_standby, FAILOVER),
    Fault("tenantapp stands still during a switchover", cluster_faults.freeze_tenantapp, FAILOVER),
    Fault("kill -9 of etcd's leader", cluster_faults.kill_etcd_leader, FAILOVER),
    Fault("etcd's leader stands still", cluster_faults.freeze_etcd_leader, FAILOVER),
    Fault("two of three members of etcd lost for 25 s", cluster_faults.lose_etcd, FAILOVER),
    Fault("the primary cut from everybody", cluster_faults.cut_primary_from_everybody, FAILOVER, needs_cuts=True),
    Fault("the primary not heard by nodes and etcd", cluster_faults.silence_primary, FAILOVER, needs_cuts=True),
    Fault("the primary cut from etcd for 25 s", cluster_faults.cut_primary_from_etcd, FAILOVER, needs_cuts=True),
    Fault(
        "the primary cut from the standbys for 6 s", cluster_faults.cut_primary_from_standbys, FAILOVER, needs_cuts=True
    ),
    Fault("tenantapp cut from all nodes for 6 s", cluster_faults.cut_tenantapp, FAILOVER, needs_cuts=True),
)
