"""The server section: what it says, what follows from it, and what is refused."""

import os
from pathlib import Path

import pytest

from tenantapp import main
from tenantapp.serving import cores
from tenantapp.serving.options import check_budget, processes_and_threads, read_options, read_section
from tenantapp.settings import SettingsError, read_settings

GOOD = {"user_db.url": "sqlite+pysqlite:////tmp/user.sqlite", "servers.main": "sqlite+pysqlite:////tmp/tenants/"}
PRODUCTION = Path(__file__).parents[2] / "production.ini"


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("TENANTAPP_SERVER_")]:
        monkeypatch.delenv(name)


def ini(directory: Path, *lines: str, use: str = "egg:waitress") -> dict[str, str]:
    """The global configuration of an ini file whose server section has these lines."""
    path = directory / "test.ini"
    path.write_text("\n".join(["[server:main]", f"use = {use}", *lines]) + "\n")
    return {"__file__": str(path)}


def test_production_serves_on_all_cores_of_this_machine() -> None:
    section = read_section({"__file__": str(PRODUCTION), "http_port": "6600"})
    options = read_options(section, {})
    assert (options.workers, options.threads, options.port) == (cores.usable_cores(), 4, 6600)
    assert (options.host, options.trusted_proxy, options.trusted_proxy_count) == ("127.0.0.1", "127.0.0.1", 1)
    assert read_options(section, {"TENANTAPP_SERVER_WORKERS": "3"}).workers == 3
    assert (options.keepalive, read_options(section | {"keepalive": "5"}).keepalive) == (0, 5)


@pytest.mark.parametrize(
    ("section", "environment", "sentence"),
    [
        ({"workers": "0"}, {}, "setting server.workers must be a number of processes from 1 to 1024, or auto"),
        ({"workers": "all"}, {}, "setting server.workers must"),
        ({"threads": "0"}, {}, "setting server.threads must"),
        ({"keepalive": "1"}, {}, "setting server.keepalive must be a number of seconds from 2 to 75, or 0"),
        ({"keepalive": "5", "graceful_timeout": "2"}, {}, "setting server.keepalive needs a server.graceful_timeout"),
        ({"port": "http"}, {}, "setting server.port must"),
        ({"worker": "2"}, {}, r"setting worker of \[server:main\] is unknown"),
        ({"trusted_proxy_headers": "x-real-ip"}, {}, "setting server.trusted_proxy_headers may name"),
        ({}, {"TENANTAPP_SERVER_WORKRS": "2"}, "environment variable TENANTAPP_SERVER_WORKRS names no setting"),
        ({}, {"TENANTAPP_SERVER_WORKERS": "-1"}, "setting server.workers must"),
    ],
)
def test_a_wrong_option_is_named(section: dict[str, str], environment: dict[str, str], sentence: str) -> None:
    with pytest.raises(SettingsError, match=sentence):
        read_options(section, environment)


def test_a_wrong_option_ends_start_up(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"^tenantapp: setting server\.workers must"):
        main(ini(tmp_path, "workers = none", use="egg:tenantapp"), **GOOD)


@pytest.mark.parametrize(
    ("use", "lines", "expected"),
    [
        ("egg:tenantapp", ("workers = 3", "threads = 6"), (4, 6)),
        ("egg:tenantapp#main", ("workers = auto",), (cores.usable_cores() + 1, 4)),
        ("egg:waitress", (), (1, 4)),
        ("egg:waitress", ("threads = 8",), (1, 8)),
        ("egg:waitress", ("threads = many",), (1, 4)),
    ],
)
def test_processes_and_threads_follow_from_the_section(
    tmp_path: Path, use: str, lines: tuple[str, ...], expected: tuple[int, int]
) -> None:
    assert processes_and_threads(read_section(ini(tmp_path, *lines, use=use))) == expected


def test_a_section_in_terms_of_the_command_line(tmp_path: Path) -> None:
    section = read_section(ini(tmp_path, "threads = 6", "get port = http_port") | {"http_port": "6600"})
    assert processes_and_threads(section) == (1, 6)
    assert processes_and_threads(read_section({})) == (1, 4)


@pytest.mark.parametrize(("given", "expected"), [(None, 4), ("7", 7)])
def test_the_processes_that_share_a_server_need_not_be_said_twice(
    tmp_path: Path, given: str | None, expected: int
) -> None:
    place = {name: f"sqlite+pysqlite:///{tmp_path}/{name}/" for name in ("user_db.url", "servers.main")}
    settings = place if given is None else place | {"connections.workers": given}
    app = main(ini(tmp_path, "workers = 3", use="egg:tenantapp"), **settings)
    assert app.registry.app_settings.connections_workers == expected


def test_a_budget_smaller_than_the_threads_is_refused() -> None:
    settings = read_settings(GOOD | {"connections.budget": "4"}, {})
    check_budget(settings, 4)
    with pytest.raises(SettingsError, match=r"connections\.budget must be at least 8"):
        check_budget(settings, 8)


@pytest.mark.parametrize(
    ("own", "everywhere", "expected"),
    [("max 100000", "", 64), ("150000 100000", "", 2), ("50000 100000", "", 1), ("max 100000", "300000 100000", 3)],
)
def test_a_quota_of_the_control_group_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own: str, everywhere: str, expected: int
) -> None:
    (tmp_path / "own").write_text("0::/system.slice/tenantapp.service\n")
    groups = tmp_path / "cgroup" / "system.slice"
    (groups / "tenantapp.service").mkdir(parents=True)
    (groups / "tenantapp.service" / "cpu.max").write_text(own + "\n")
    if everywhere:
        (groups / "cpu.max").write_text(everywhere + "\n")
    monkeypatch.setattr("os.sched_getaffinity", lambda process: set(range(64)), raising=False)
    assert cores.usable_cores(tmp_path / "cgroup", tmp_path / "own") == expected
