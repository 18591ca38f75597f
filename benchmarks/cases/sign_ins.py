"""Signing in: per second, beside what hashing the password alone allows."""

import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tenantapp.identity.passwords import hash_password, verify_password

from benchmarks.bench import Bench, Loads, ratio
from benchmarks.contenders.ours import SESSION
from benchmarks.deployment import ENGINES, PASSWORD
from benchmarks.load import http_request
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


def sign_ins(bench: Bench) -> Report:
    """Eight people sign in over and over."""
    hashing = verifications_per_second(bench.seconds)
    rows: list[dict[str, Any]] = [{"title": "verifying the password alone, on all cores", "rate": hashing}]
    for engine in ENGINES:
        deployment = bench.tenants(engine, PEOPLE)
        requests = [_request(f"editor@{slug}") for slug in list(deployment.places)[:PEOPLE]]
        with deployment.serving(bench.directory) as server:
            loads = Loads(bench.measure(server.port, requests) for _ in range(bench.rounds))
        rows.append(_row(f"tenantapp, {engine}", loads, hashing))
    return Report("Sign-ins", COLUMNS, rows)


def verifications_per_second(seconds: float) -> float:
    """How many passwords this machine verifies when it does nothing else."""
    password_hash = hash_password(PASSWORD)
    cores = len(os.sched_getaffinity(0))
    until = time.perf_counter() + seconds

    def go_on(_: int) -> int:
        done = 0
        while time.perf_counter() < until:
            verify_password(password_hash, PASSWORD)
            done += 1
        return done

    with ThreadPoolExecutor(cores) as threads:
        return sum(threads.map(go_on, range(cores))) / seconds


def _request(login: str) -> bytes:
    body = json.dumps({"login": login, "password": PASSWORD}).encode()
    return http_request("POST", SESSION, {"Content-Type": "application/json"}, body)


def _row(title: str, loads: Loads, hashing: float) -> dict[str, Any]:
    return {
        "title": title,
        "rate": loads.rate,
        "rates": loads.rates,
        "median_ms": loads.median_ms,
        "p99_ms": loads.p99_ms,
        "to_hashing": ratio(loads.rate, hashing),
        "errors": loads.errors,
    }
