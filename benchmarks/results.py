"""The results file: what each case found when it last ran, and on what machine."""

import json
import os
import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from benchmarks.load import generator_name
from benchmarks.report import Report

RESULTS: Final = Path(__file__).with_name("results.json")


def machine() -> dict[str, Any]:
    """What the numbers depend on besides the code. Nothing that names this machine."""
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        "load_generator": generator_name(),
    }


def read_results() -> dict[str, Any]:
    """Every case's last results, by the case's name."""
    return json.loads(RESULTS.read_text()) if RESULTS.exists() else {}


def write_result(case: str, report: Report, *, seconds: float, rounds: int) -> None:
    """Keep what a case found, in place of what it found before."""
    results = read_results()
    results[case] = {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": seconds,
        "rounds": rounds,
        "machine": machine(),
        "load_average_at_end": round(os.getloadavg()[0], 1),
        **report.as_json(),
    }
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()
