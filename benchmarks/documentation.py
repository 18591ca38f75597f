"""The results in the documentation: the tables of docs/benchmarks.md and the chart beside it."""

from pathlib import Path
from typing import Any, Final

from benchmarks.chart import Bar, bar_chart
from benchmarks.report import Report
from benchmarks.results import read_results

DOCS: Final = Path(__file__).parents[1] / "docs"
PAGE: Final = DOCS / "benchmarks.md"
CHART: Final = DOCS / "benchmarks.svg"
BEGIN: Final = "<!-- results: written by `make bench` -->\n"
END: Final = "<!-- end of results -->"


def write_documentation() -> None:
    """Put the results there are into the page, and draw the chart."""
    results = read_results()
    if "contest" in results:
        CHART.write_text(_chart(results["contest"]))
    before, rest = PAGE.read_text().split(BEGIN)
    after = rest.split(END)[1]
    PAGE.write_text(before + BEGIN + "\n" + "\n".join(map(_section, results.values())) + "\n" + END + after)


def _section(result: dict[str, Any]) -> str:
    machine = result["machine"]
    when = (
        f"*{result['when'][:10]}, {result['rounds']} x {result['seconds']:g} s, {machine['cores']} cores of "
        f"{machine['processor']}, Python {machine['python']}, {machine['load_generator']}; load average "
        f"{result['load_average_at_end']} at the end.*"
    )
    return f"{Report.from_json(result).markdown()}\n{when}\n"


def _chart(contest: dict[str, Any]) -> str:
    bars = [
        Bar(row["title"], row["rate"], highlighted=row["name"].startswith("tenantapp"))
        for row in contest["rows"]
        if "rate" in row and row["name"] != "pyramid"
    ]
    return bar_chart(contest["title"], "requests per second, median", sorted(bars, key=lambda bar: -bar.value))
