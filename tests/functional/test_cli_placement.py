"""Where new tenants go, and the moves that spread those that are there. On SQLite."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.functional.conftest import Command

Failed = Callable[..., str]


@pytest.fixture
def two(ini: Path, done: Command) -> Path:
    """The ini file, with two servers, of which one takes twice as much as the other, and one that takes nothing."""
    places = {name: f"sqlite+pysqlite:///{ini.parent}/{name}/" for name in ("one", "two", "closed")}
    servers = "".join(f"servers.{name} = {url}\n" for name, url in places.items())
    weights = "servers.one.weight = 1\nservers.two.weight = 2\n"
    lines = ini.read_text().splitlines()
    kept = [line for line in lines if not line.startswith("servers.")]
    place = kept.index("[app:main]") + 1
    ini.write_text("\n".join([*kept[:place], *(servers + weights).splitlines(), *kept[place:]]) + "\n")
    return ini


def on_servers(done: Command) -> Counter[str]:
    return Counter(row["server"] for row in done("tenants", "list", "--json").json["items"])


def test_new_tenants_go_where_there_are_the_fewest_for_the_weight(two: Path, done: Command, failed: Failed) -> None:
    done("tenants", "create", *(f"t{number}" for number in range(6)))
    assert on_servers(done) == {"one": 2, "two": 4}
    done("tenants", "create", "named", "--server", "closed")
    done("tenants", "export", "t0", str(two.parent / "t0.bundle"))
    done("tenants", "import", str(two.parent / "t0.bundle"), "imported")
    assert on_servers(done) == {"one": 2, "two": 5, "closed": 1}
    two.write_text(two.read_text().replace("weight = 1", "weight = 0").replace("weight = 2", "weight = 0"))
    assert failed("tenants", "create", "nowhere") == (
        "No server takes new tenants, because the weight of each is 0. Name one"
    )


def test_tenants_are_spread_and_a_server_is_emptied(two: Path, done: Command, run: Command, failed: Failed) -> None:
    done("tenants", "create", *(f"t{number}" for number in range(6)), "--server", "one")
    planned = done("fleet", "rebalance", "--json").json["items"]
    assert [(move["server"], move["to"]) for move in planned] == [("one", "two")] * 4
    assert all(move["size"] > 0 for move in planned)
    assert on_servers(done) == {"one": 6}, "only planned"
    assert done("fleet", "rebalance", "--by", "load", "--json").json["items"] == [], "nobody has used any"
    done("fleet", "rebalance", "--go", "--yes")
    busy = run("fleet", "rebalance", "--go", "--yes")
    assert busy.status == 1
    assert "have work of their own or are gone, and were left: t0, t1, t2, t3" in busy.err
    done("worker", "--until-idle")
    assert on_servers(done) == {"one": 2, "two": 4}
    assert done("fleet", "rebalance", "--json").json["items"] == []
    done("fleet", "rebalance", "--drain", "one", "--limit", "1", "--go", "--yes")
    done("worker", "--until-idle")
    assert on_servers(done) == {"one": 1, "two": 5}
    assert "There is no server nowhere in the settings" in failed("fleet", "rebalance", "--drain", "nowhere")
    assert done("fleet", "verify").status == 0
