"""``python -m benchmarks [CASE]...``: measure, print, and keep the results."""

import signal
import sys
import tempfile
from pathlib import Path
from typing import Any

import click

from benchmarks.bench import Bench
from benchmarks.cases import CASES
from benchmarks.documentation import write_documentation
from benchmarks.results import write_result


@click.command()
@click.argument("cases", nargs=-1, type=click.Choice([*CASES, "docs"]))
@click.option(
    "--seconds", default=8.0, type=click.FloatRange(min=1), show_default=True, help="How long one measurement is."
)
@click.option("--rounds", default=3, type=click.IntRange(min=1), show_default=True, help="How often each is measured.")
def main(cases: tuple[str, ...], seconds: float, rounds: int) -> None:
    """Measure CASES, or all of them. ``docs`` measures nothing: it shows the results there are in the documentation."""
    # As an exception, so that every server is ended on the way out.
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGHUP, _stop)
    with tempfile.TemporaryDirectory(prefix="tenantapp-bench-") as directory:
        bench = Bench(seconds, rounds, Path(directory))
        for name in cases or CASES:
            if name in CASES:
                report = CASES[name](bench)
                report.show(bench.console)
                write_result(name, report, seconds=seconds, rounds=rounds)
    write_documentation()


def _stop(number: int, frame: Any) -> None:
    sys.exit(128 + number)


if __name__ == "__main__":
    main()
