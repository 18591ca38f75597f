"""Read new passwords from the terminal or from standard input, and make the list of breached ones."""

import sys
from collections.abc import Collection
from pathlib import Path

import click

from tenantapp.cli.failures import CommandFailed
from tenantapp.cli.installation import Installation
from tenantapp.credentials.breached import breached_passwords, make_filter
from tenantapp.credentials.password_rules import hash_new_password
from tenantapp.identity.audit import record


def ask_password(installation: Installation, password_stdin: bool, words: Collection[str]) -> str:
    """Return the hash of a new password. ``words`` are what it must not contain.

    The password is standard input without its last line end, or is typed twice on the terminal. Raises
    ``CommandFailed`` if there is no terminal, and ``InvalidValue``.
    """
    if password_stdin:
        password = sys.stdin.read().removesuffix("\n").removesuffix("\r")
    elif not sys.stdin.isatty():
        raise CommandFailed("There is no terminal to ask for the password on; use --password-stdin")
    else:
        password = click.prompt("Password", hide_input=True, confirmation_prompt="Once more", err=True)
    settings = installation.settings
    breached = breached_passwords(settings)
    return hash_new_password(password, words, memory=settings.passwords_memory, breached=breached)


def load_breached(installation: Installation, source: Path) -> None:
    """Make the filter of the setting ``passwords.breached`` from a list. Raises ``CommandFailed``, and other errors."""
    target = installation.settings.passwords_breached
    if target is None:
        raise CommandFailed("Set passwords.breached to the file that the list is to be made into")
    with source.open("rb", buffering=1 << 20) as lines:
        count = make_filter(lines, source.stat().st_size, Path(target))
    with installation.user_session() as session:
        record(session, "passwords.load", detail={"passwords": count})
    click.echo(f"{count:,} breached passwords are in {target}, which has {Path(target).stat().st_size:,} bytes.")
