"""The cases: each measures one thing and reports it."""

from collections.abc import Callable, Mapping
from typing import Final

from benchmarks.bench import Bench
from benchmarks.cases.cold import cold
from benchmarks.cases.contest import contest
from benchmarks.cases.create import create
from benchmarks.cases.memory import memory
from benchmarks.cases.migrate import migrate
from benchmarks.cases.move import move
from benchmarks.cases.neighbours import neighbours
from benchmarks.cases.overload import overload
from benchmarks.cases.page import page
from benchmarks.cases.parts import parts
from benchmarks.cases.people import people
from benchmarks.cases.reach import reach
from benchmarks.cases.session import session
from benchmarks.cases.sign_ins import sign_ins
from benchmarks.cases.startup import startup
from benchmarks.cases.tenants import tenants
from benchmarks.cases.writes import writes
from benchmarks.report import Report

# A thousand databases keep PostgreSQL busy by themselves, so that the cases that need them come last.
CASES: Final[Mapping[str, Callable[[Bench], Report]]] = {
    "contest": contest,
    "session": session,
    "page": page,
    "writes": writes,
    "parts": parts,
    "people": people,
    "reach": reach,
    "neighbours": neighbours,
    "overload": overload,
    "sign-ins": sign_ins,
    "startup": startup,
    "create": create,
    "move": move,
    "tenants": tenants,
    "cold": cold,
    "memory": memory,
    "migrate": migrate,
}
