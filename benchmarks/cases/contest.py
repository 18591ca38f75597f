"""The same list of nodes from every contender: one server process, one tenant, eight connections."""

from typing import Any

from benchmarks.bench import Bench, Loads, ratio, turns
from benchmarks.contenders import CONTENDERS, FLOOR, OURS, Broken, Contender, Prepared
from benchmarks.load import LoadFailed
from benchmarks.postgres import Postgres, running_postgres
from benchmarks.processes import DidNotStart
from benchmarks.report import Column, Report, Target

COLUMNS = (
    Column("title", "contender"),
    Column("rate", "requests/s", ",.0f"),
    Column("median_ms", "median ms", ".1f"),
    Column("p99_ms", "p99 ms", ".1f"),
    Column("ours_is", "tenantapp / it", ".2f"),
    Column("to_floor", "it / floor", ".2f"),
    Column("broken", "broken"),
)
# By how much tenantapp is to be faster, by contender.
WANTED = {"django_tenants": 6.0, "kinto": 4.0, "fastapi": 2.0, "floor": 0.5}


def contest(bench: Bench) -> Report:
    """Prepare them all, then measure one after the other in every round."""
    with running_postgres(bench.directory) as postgres:
        broken: dict[str, str] = {}
        ready = _prepare(bench, postgres, broken)
        found = {contender.name: Loads() for contender in CONTENDERS}
        for number in range(bench.rounds):
            for contender, prepared in turns(ready.items(), number):
                if contender.name not in broken:
                    _measure(bench, number, contender, prepared, found[contender.name], broken)
    return _report(found, broken)


def _prepare(bench: Bench, postgres: Postgres, broken: dict[str, str]) -> dict[Contender, Prepared]:
    ready = {}
    for contender in CONTENDERS:
        bench.say(f"preparing {contender.title}")
        try:
            ready[contender] = contender.prepare(postgres, bench.directory)
        except Broken as reason:
            broken[contender.name] = str(reason)
    return ready


def _measure(
    bench: Bench, number: int, contender: Contender, prepared: Prepared, loads: Loads, broken: dict[str, str]
) -> None:
    """One round of one contender, its answers checked before and counted after."""
    try:
        with prepared.serving() as server:
            contender.check(prepared, server.port)
            load = bench.measure(server.port, [prepared.request])
            if load.errors:
                raise Broken(f"{load.errors} of {load.requests} answers were errors")
    except (Broken, DidNotStart, LoadFailed, OSError) as reason:
        broken[contender.name] = str(reason) or type(reason).__name__
        bench.say(f"round {number + 1}: {contender.title} is broken: {broken[contender.name]}")
        return
    loads.append(load)
    bench.say(f"round {number + 1}: {contender.title} {load.rate:,.0f} requests/s")


def _report(found: dict[str, Loads], broken: dict[str, str]) -> Report:
    ours, floor = found[OURS.name].rate, found[FLOOR.name].rate
    rows = [_row(contender, found[contender.name], ours, floor, broken) for contender in CONTENDERS]
    targets = [
        Target(
            f"tenantapp against {contender.title}", WANTED[contender.name], ratio(ours, found[contender.name].rate), "x"
        )
        for contender in CONTENDERS
        if contender.name in WANTED
    ]
    return Report("List of 50 nodes, one tenant, 8 connections", COLUMNS, rows, targets)


def _row(contender: Contender, loads: Loads, ours: float, floor: float, broken: dict[str, str]) -> dict[str, Any]:
    row: dict[str, Any] = {"name": contender.name, "title": contender.title, "rates": loads.rates}
    if contender.name in broken:
        return row | {"broken": broken[contender.name]}
    row |= {"rate": loads.rate, "median_ms": loads.median_ms, "p99_ms": loads.p99_ms, "broken": ""}
    return row | {"ours_is": ratio(ours, loads.rate), "to_floor": ratio(loads.rate, floor)}
