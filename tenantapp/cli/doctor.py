"""The work of ``doctor``: run the checks, and print what they find and what to do."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import click

from tenantapp.cli.checks import configuration, databases, machine, replicas, tenants
from tenantapp.cli.checks.examination import Check, Examination, Finding, State, count, warning, wrong
from tenantapp.cli.failures import KNOWN_ERRORS, CommandFailed, explained
from tenantapp.cli.installation import Installation
from tenantapp.cli.output import show_rows
from tenantapp.operations.outcomes import first_line

# In this order, because a check may need the results of earlier ones. The slowest is the last.
CHECKS: Final = (
    Check("ini file", configuration.ini_file),
    Check("settings", configuration.settings),
    Check("versions", machine.versions),
    Check("domain", configuration.domain, ("settings",)),
    Check("user database", databases.user_database, ("settings",)),
    Check("user revision", databases.user_revision, ("user database",)),
    Check("stored secrets", databases.stored_secrets, ("user revision",)),
    Check("servers", databases.servers, ("settings",)),
    Check("replicas", replicas.replicas, ("settings",)),
    Check("PgBouncer", databases.pgbouncers, ("user revision",)),
    Check("clock", databases.clock, ("settings",)),
    Check("tenants", tenants.tenants, ("domain", "user revision")),
    Check("operations", tenants.operations, ("user revision",)),
    Check("PostgreSQL tools", machine.postgres_tools, ("settings",)),
    Check("files", machine.files, ("settings",)),
    Check("storage of files", machine.storage_of_files, ("settings",)),
    Check("backups", machine.backups, ("settings",)),
    Check("archives", machine.archives, ("settings",)),
    Check("mail", machine.mail, ("settings",)),
    Check("application", configuration.application, ("settings",)),
)
COLOURS: Final = {State.OK: "green", State.WARNING: "yellow", State.WRONG: "red"}
STATE_WIDTH: Final = max(map(len, State))


def doctor(installation: Installation, as_json: bool) -> None:
    """Run all checks and print their findings. Raises ``CommandFailed`` if something is wrong."""
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
    """Run the checks and yield their findings. A check that needs a failed one is skipped, and named at the end."""
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
        detail = f"{', '.join(left_out)}: skipped, because they need something that is wrong"
        yield warning("not checked", detail, "Correct what is wrong, and run `tenantapp doctor` again")


def _findings(check: Check, examination: Examination) -> Iterator[Finding]:
    """Yield the findings of a check. An exception is a finding too, so that the other checks still run."""
    try:
        yield from check.look(examination)
    except KNOWN_ERRORS as error:
        yield wrong(check.name, explained(error), "Correct it, and run `tenantapp doctor` again")
    except Exception as error:  # from the domain, from a library, or a bug of ours
        advice = "Correct it if it comes from the domain or a library, or else report it"
        yield wrong(check.name, f"{type(error).__name__}: {first_line(error)}", advice)


def _printable(finding: Finding) -> Finding:
    """Return the finding on one line and in UTF-8, whatever bytes a file name has."""
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
