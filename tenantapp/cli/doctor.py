"""The work of ``doctor``: look at one thing after the other, and say how it is and what to do."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import click

from tenantapp.cli.checks import configuration, databases, machine, tenants
from tenantapp.cli.checks.examination import Check, Examination, Finding, State, count, warning, wrong
from tenantapp.cli.failures import KNOWN_ERRORS, CommandFailed, explained
from tenantapp.cli.installation import Installation
from tenantapp.cli.output import show_rows
from tenantapp.operations.outcomes import first_line

# In this order: a check may need what one before it has found out. The slowest is the last.
CHECKS: Final = (
    Check("ini file", configuration.ini_file),
    Check("settings", configuration.settings),
    Check("versions", machine.versions),
    Check("domain", configuration.domain, ("settings",)),
    Check("user database", databases.user_database, ("settings",)),
    Check("user revision", databases.user_revision, ("user database",)),
    Check("servers", databases.servers, ("settings",)),
    Check("PgBouncer", databases.pgbouncers, ("user revision",)),
    Check("clock", databases.clock, ("settings",)),
    Check("tenants", tenants.tenants, ("domain", "user revision")),
    Check("operations", tenants.operations, ("user revision",)),
    Check("PostgreSQL tools", machine.postgres_tools, ("settings",)),
    Check("files", machine.files, ("settings",)),
    Check("backups", machine.backups, ("settings",)),
    Check("application", configuration.application, ("settings",)),
)
COLOURS: Final = {State.OK: "green", State.WARNING: "yellow", State.WRONG: "red"}
STATE_WIDTH: Final = max(map(len, State))


def doctor(installation: Installation, as_json: bool) -> None:
    """Print what every check has found. Raises ``CommandFailed`` if something is wrong."""
    findings = [_printable(finding) for finding in examine(installation)]
    if as_json:
        columns = ("check", "state", "detail", "advice")
        rows = [{column: getattr(finding, column) for column in columns} for finding in findings]
        show_rows(rows, columns, as_json=True)
    else:
        _show(findings)
    number = sum(finding.state == State.WRONG for finding in findings)
    if number:
        raise CommandFailed(f"{count(number, 'thing is', 'things are')} wrong")


def examine(installation: Installation, checks: Sequence[Check] = CHECKS) -> Iterator[Finding]:
    """Yield what the checks find. One whose needs are wrong is left out, and named at the end."""
    examination = Examination(installation)
    failed: set[str] = set()
    left_out: list[str] = []
    for check in checks:
        if failed.intersection(check.needs):
            failed.add(check.name)
            left_out.append(check.name)
            continue
        for finding in _findings(check, examination):
            if finding.state == State.WRONG:
                failed.add(check.name)
            yield finding
    if left_out:
        detail = f"{', '.join(left_out)}: left out, since they need something that is wrong"
        yield warning("not checked", detail, "Mend what is wrong, and run `tenantapp doctor` again")


def _findings(check: Check, examination: Examination) -> Iterator[Finding]:
    """Yield the findings of a check. What it raises is one more: nothing may keep the others from being done."""
    try:
        yield from check.look(examination)
    except KNOWN_ERRORS as error:
        yield wrong(check.name, explained(error), "Mend what it names, and run `tenantapp doctor` again")
    except Exception as error:  # of the domain, of a library, or a fault of ours
        advice = "Mend it if it is the domain's or a library's fault, and else report it"
        yield wrong(check.name, f"{type(error).__name__}: {first_line(error)}", advice)


def _printable(finding: Finding) -> Finding:
    """Return it on one line, and in UTF-8 whatever bytes a file name has."""
    detail, advice = (
        " ".join(text.split()).rstrip(".").encode(errors="replace").decode()
        for text in (finding.detail, finding.advice)
    )
    return Finding(finding.check, finding.state, detail, advice)


def _show(findings: Iterable[Finding]) -> None:
    findings = list(findings)
    width = max(len(finding.check) for finding in findings)
    for finding in findings:
        state = click.style(f"{finding.state:<{STATE_WIDTH}}", fg=COLOURS[finding.state])
        advice = f". {finding.advice}." if finding.advice else ""
        click.echo(f"{finding.check:<{width}}  {state}  {finding.detail}{advice}")
