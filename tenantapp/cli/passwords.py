"""Give people passwords from standard input, or initial ones, and make the list of breached ones."""

import sys
from collections.abc import Collection
from pathlib import Path

import click

from tenantapp.cli.account_links import post_of
from tenantapp.cli.failures import CommandFailed
from tenantapp.cli.installation import Installation
from tenantapp.credentials.breached import breached_passwords, make_filter
from tenantapp.credentials.factors import factors_of
from tenantapp.credentials.password_changes import tell_of_new_password
from tenantapp.credentials.password_rules import hash_new_password, words_about
from tenantapp.credentials.passwords import hash_password
from tenantapp.credentials.readable_secrets import readable_secret
from tenantapp.credentials.sign_in import INITIAL_LIVES
from tenantapp.identity import users
from tenantapp.identity.audit import record
from tenantapp.identity.names import check_login
from tenantapp.identity.users import How, create_user, get_user


def add_with_password(
    installation: Installation, login: str, name: str | None, operator: bool, *, password_stdin: bool
) -> None:
    """Make a person with the password on standard input, or with an initial one that is printed.

    Raises ``InvalidValue`` and ``AlreadyExists``.
    """
    normal = check_login(login)  # refused before a password is read
    password = _read_password() if password_stdin else readable_secret()
    hashed, how = _hashed(installation, password, [login, name or ""], password_stdin)
    with installation.user_session() as session:
        create_user(session, login, name=name, password_hash=hashed, operator=operator, how=how)
    _tell(password, how, f"{normal} may sign in")


def set_password(installation: Installation, login: str, *, password_stdin: bool) -> None:
    """Give a person the password on standard input, or an initial one that is printed, and send them a notice.

    Their web sessions end.

    Raises ``InvalidValue`` and ``NotFound``.
    """
    with installation.user_session(read_only=True) as session:
        user_id = get_user(session, login).id  # refused before a password is read
        words, second_factor = words_about(session, user_id), factors_of(session, user_id).number > 0
    password = _read_password() if password_stdin else readable_secret()
    hashed, how = _hashed(installation, password, words, password_stdin, second_factor=second_factor)
    with installation.user_session() as session:
        user = users.set_password(session, login, hashed, how)
        tell_of_new_password(session, user, post_of(installation))
    _tell(password, how, f"{login} has a new password")


def _read_password() -> str:
    """Return standard input without its last line end."""
    return sys.stdin.read().removesuffix("\n").removesuffix("\r")


def _hashed(
    installation: Installation,
    password: str,
    words: Collection[str],
    password_stdin: bool,
    *,
    second_factor: bool = False,
) -> tuple[str, How]:
    """Return the hash of a new password, and how the person gets it. The rule is for what somebody has chosen.

    ``second_factor`` says that the person has one.
    """
    settings = installation.settings
    if not password_stdin:
        return hash_password(password, settings.passwords_memory), How.INITIAL
    breached = breached_passwords(settings)
    hashed = hash_new_password(
        password, words, memory=settings.passwords_memory, second_factor=second_factor, breached=breached
    )
    return hashed, How.STDIN


def _tell(password: str, how: How, done: str) -> None:
    click.echo(f"{done}.")
    if how is How.INITIAL:
        click.echo(f"This password has to be changed at the first sign-in, within {INITIAL_LIVES.days} days:")
        click.echo(password)


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
