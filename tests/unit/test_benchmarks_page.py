"""The figures that the README and the summary of docs/benchmarks.md give are those of the results."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
PAGE = (ROOT / "docs" / "benchmarks.md").read_text()
SUMMARY, RESULTS = PAGE.split("<!-- results")
# The rows of the README, and what the results call them.
ROWS = {
    "raw WSGI and psycopg2, nothing else: the floor": "raw WSGI + psycopg2 (the floor)",
    "**tenantapp**": "tenantapp, PostgreSQL",
    "FastAPI and SQLAlchemy async": "FastAPI + SQLAlchemy async",
    "Kinto": "Kinto",
    "django-tenants and Django REST framework": "django-tenants + DRF",
}


def row(text: str, *first: str) -> list[str]:
    """The cells of the first row of a table that begins with these."""
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if cells[: len(first)] == list(first):
            return cells
    raise AssertionError(f"there is no row {first}")


@pytest.mark.parametrize(("shown", "measured"), ROWS.items(), ids=ROWS.values())
def test_the_readme_gives_the_measured_figures(shown: str, measured: str) -> None:
    assert [cell.strip("*") for cell in row(README, shown)[1:4]] == row(RESULTS, measured)[1:4]


def test_the_summary_compares_as_the_results_do() -> None:
    first = re.sub(r"\s+", " ", SUMMARY.split("- On PostgreSQL the first")[0])
    (floor,) = re.findall(r": ([\d.]+) of what the driver", first)
    assert floor == row(RESULTS, "tenantapp, PostgreSQL")[5]
    peers = ("django-tenants + DRF", "Kinto", "FastAPI + SQLAlchemy async")
    assert re.findall(r"([\d.]+) times", first) == [row(RESULTS, peer)[4] for peer in peers]


@pytest.mark.parametrize("text", [README, SUMMARY], ids=["README", "summary"])
def test_migrations_are_as_fast_as_it_says(text: str) -> None:
    for engine, name in (("postgresql", "PostgreSQL"), ("sqlite", "SQLite")):
        assert f"{row(RESULTS, engine, '1,000')[4]} {name} databases" in re.sub(r"\s+", " ", text)
