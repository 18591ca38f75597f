"""Signing in: per second, beside what hashing the password alone allows."""

import json
import os
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tenantapp.credentials.passwords import FREE_THREADS, MEMORY, hash_password, verify_password
from tenantapp.serving.options import DEFAULT_THREADS

from benchmarks.bench import Bench, Loads, ratio
from benchmarks.contenders.ours import SESSION
from benchmarks.deployment import ENGINES, PASSWORD, Deployment
from benchmarks.load import Load, http_request
from benchmarks.report import Column, Report

COLUMNS = (
    Column("title", "POST /session"),
    Column("rate", "sign-ins/s", ",.1f"),
    Column("median_ms", "median ms", ".0f"),
    Column("p99_ms", "p99 ms", ".0f"),
    Column("to_hashing", "it / hashing alone", ".2f"),
    Column("errors", "errors", ",d"),
)
PEOPLE = 8
AT_ONCE = DEFAULT_THREADS - FREE_THREADS  # more would be refused, and come back at once


def sign_ins(bench: Bench) -> Report:
    """Eight people sign in over and over, as many at once as the server lets hash.

    In every round the machine's own pace is taken anew.
    """
    hashing: list[float] = []
    found = {engine: Loads() for engine in ENGINES}
    for _ in range(bench.rounds):
        hashing.append(verifications_per_second(bench.seconds))
        for engine in ENGINES:
            found[engine].append(_measure(bench, bench.tenants(engine, PEOPLE)))
    alone = statistics.median(hashing)
    first: dict[str, Any] = {"title": "verifying the password alone, on all cores", "rate": alone}
    return Report("Sign-ins", COLUMNS, [first, *(_row(engine, loads, alone) for engine, loads in found.items())])


def _measure(bench: Bench, deployment: Deployment) -> Load:
    requests = [_request(f"editor@{slug}") for slug in list(deployment.places)[:PEOPLE]]
    with deployment.serving(bench.directory) as server:
        return bench.measure(server.port, requests, connections=AT_ONCE)


def verifications_per_second(seconds: float) -> float:
    """How many passwords this machine verifies when it does nothing else."""
    password_hash = hash_password(PASSWORD)
    cores = len(os.sched_getaffinity(0))
    until = time.perf_counter() + seconds

    def go_on(_: int) -> int:
        done = 0
        while time.perf_counter() < until:
            verify_password(password_hash, PASSWORD, MEMORY)
            done += 1
        return done

    with ThreadPoolExecutor(cores) as threads:
        return sum(threads.map(go_on, range(cores))) / seconds


def _request(login: str) -> bytes:
    body = json.dumps({"login": login, "password": PASSWORD}).encode()
    return http_request("POST", SESSION, {"Content-Type": "application/json"}, body)


def _row(engine: str, loads: Loads, hashing: float) -> dict[str, Any]:
    return {
        "title": f"tenantapp, {engine}",
        "rate": loads.rate,
        "rates": loads.rates,
        "median_ms": loads.median_ms,
        "p99_ms": loads.p99_ms,
        "to_hashing": ratio(loads.rate, hashing),
        "errors": loads.errors,
    }
