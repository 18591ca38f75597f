"""The faults of a cluster that fails over: its nodes, the etcd that they agree by, and the network between them."""

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Final

from tests.chaos.network import TEST
from tests.chaos.worlds import World, gone, kill
from tests.slow_databases import stopped

if TYPE_CHECKING:
    from tests.chaos.failover import Cluster, Node

SECONDS: Final = 6.0  # that something is away, or frozen
BEYOND_TTL: Final = 25.0  # seconds; longer than the leader's lock lives in deploy/patroni.yml


def kill_primary(world: World) -> None:
    """PostgreSQL dies on the node of the primary, and Patroni does not."""
    leader = the_cluster(world).leader()
    processes = leader.postgres()
    kill(processes[0])
    gone(*processes)
    the_cluster(world).healthy()


def kill_node_of_primary(world: World) -> None:
    """Patroni and PostgreSQL die on the node of the primary. The node comes back when another one is the primary."""
    leader = the_cluster(world).leader()
    leader.kill()
    the_cluster(world).has_another(leader)
    leader.start()
    the_cluster(world).healthy()


def freeze_node_of_primary(world: World) -> None:
    """The node of the primary stands still, and goes on a while after another one has become the primary."""
    leader = the_cluster(world).leader()
    with stopped(*leader.processes()):
        the_cluster(world).has_another(leader)
        time.sleep(SECONDS)
    the_cluster(world).healthy()


def freeze_synchronous_standby(world: World) -> None:
    """The node whose standby confirms commits stands still, for longer than it takes to appoint another one."""
    with stopped(*the_cluster(world).synchronous_standby().processes()):
        time.sleep(4 * SECONDS)
    the_cluster(world).healthy()


def switch_over(world: World) -> None:
    """The synchronous standby becomes the primary, because an operator says so."""
    the_cluster(world).switch_over()
    the_cluster(world).healthy()


def freeze_tenantapp(world: World) -> None:
    """tenantapp and its HAProxy stand still while another node becomes the primary, and a guest loses their grant.

    When they go on, they know the old primary, and have connections to it. The guest stays out for a while.
    """
    processes = [world.server.process.pid, *world.server.workers(), the_cluster(world).haproxy.pid]
    with stopped(*processes):
        the_cluster(world).switch_over()
        world.guest_stays_out.set()
        time.sleep(SECONDS)
    time.sleep(SECONDS / 2)
    world.guest_stays_out.clear()
    the_cluster(world).healthy()


def kill_etcd_leader(world: World) -> None:
    """The member of etcd that leads dies, and is started again."""
    member = the_cluster(world).etcd_leader()
    member.kill()
    time.sleep(SECONDS)
    member.start(the_cluster(world).etcd)
    the_cluster(world).healthy()


def freeze_etcd_leader(world: World) -> None:
    """The member of etcd that leads stands still."""
    with stopped(the_cluster(world).etcd_leader().pid):
        time.sleep(2 * SECONDS)
    the_cluster(world).healthy()


def lose_etcd(world: World) -> None:
    """Two of three members of etcd die, so that nothing can be agreed; the primary has to go on all the same."""
    lost = the_cluster(world).etcd[:2]
    with stays_primary(world):
        for member in lost:
            member.kill()
        time.sleep(BEYOND_TTL)
        for member in lost:
            member.start(the_cluster(world).etcd)


def cut_primary_from_everybody(world: World) -> None:
    """Nobody reaches the node of the primary, and it reaches nobody."""
    leader = the_cluster(world).leader()
    with cut(world, leader, [*standbys(world), *etcd(world), TEST]):
        the_cluster(world).has_another(leader)
        time.sleep(SECONDS)
    the_cluster(world).healthy()


def silence_primary(world: World) -> None:
    """The node of the primary hears the others and is not heard by them. tenantapp reaches it as before."""
    leader = the_cluster(world).leader()
    with cut(world, leader, [*standbys(world), *etcd(world)], one_way=True):
        the_cluster(world).has_another(leader)
        time.sleep(SECONDS)
    the_cluster(world).healthy()


def cut_primary_from_etcd(world: World) -> None:
    """The node of the primary reaches the others and not etcd; it has to go on, because the others agree."""
    with stays_primary(world) as leader, cut(world, leader, etcd(world)):
        time.sleep(BEYOND_TTL)


def cut_primary_from_standbys(world: World) -> None:
    """No standby receives anything; the primary has the lock, so no other node takes over."""
    with stays_primary(world) as leader, cut(world, leader, standbys(world)):
        time.sleep(SECONDS)


def cut_tenantapp(world: World) -> None:
    """tenantapp and its HAProxy reach no node, and the nodes reach each other."""
    with stays_primary(world), the_cluster(world).network.cut([TEST], the_cluster(world).nodes):
        time.sleep(SECONDS)


def cut(world: World, leader: "Node", others: list[str], *, one_way: bool = False) -> AbstractContextManager[None]:
    """Cut the node from these machines; ``one_way`` loses only what the node sends."""
    return the_cluster(world).network.cut([leader.name], others, one_way=one_way)


@contextmanager
def stays_primary(world: World) -> "Iterator[Node]":
    """Fail if there is another primary when the cluster is healthy again. Yields the node of the primary."""
    leader = the_cluster(world).leader()
    yield leader
    the_cluster(world).healthy()
    assert the_cluster(world).leader() is leader, "another node has become the primary"


def standbys(world: World) -> list[str]:
    """The nodes but that of the primary."""
    leader = the_cluster(world).leader()
    return [name for name in the_cluster(world).nodes if name != leader.name]


def etcd(world: World) -> list[str]:
    """The machines of etcd."""
    return [member.name for member in the_cluster(world).etcd]


def the_cluster(world: World) -> "Cluster":
    """The cluster of a world that has one."""
    assert world.cluster is not None
    return world.cluster
