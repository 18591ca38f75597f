"""``python -m benchmarks [CASE]...``: measure, print, and keep the results."""

import signal
import sys
from contextlib import ExitStack
from typing import Any

import click

from benchmarks.bench import Bench
from benchmarks.cases import CASES
from benchmarks.contenders import Broken
from benchmarks.documentation import write_documentation
from benchmarks.load import LoadFailed
from benchmarks.processes import DidNotStart, allow_many_files
from benchmarks.results import write_result
from benchmarks.workplace import workplace


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
    allow_many_files()
    with workplace() as directory, ExitStack() as kept:
        bench = Bench(seconds, rounds, directory, kept)
        failed = [name for name in cases or CASES if name in CASES and not _run(bench, name)]
    write_documentation()
    if failed:
        sys.exit(f"Not measured: {', '.join(failed)}.")


def _run(bench: Bench, name: str) -> bool:
    """Run a case and keep what it finds. A case that fails is told, and does not keep the others from being run."""
    try:
        report = CASES[name](bench)
    except (Broken, DidNotStart, LoadFailed) as reason:
        bench.say(f"{name}: {reason}")
        return False
    report.show(bench.console)
    write_result(name, report, seconds=bench.seconds, rounds=bench.rounds)
    return True


def _stop(number: int, frame: Any) -> None:
    sys.exit(128 + number)


if __name__ == "__main__":
    main()
