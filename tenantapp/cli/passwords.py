"""Read new passwords from the terminal or from standard input."""

import sys

import click

from tenantapp.cli.failures import CommandFailed
from tenantapp.credentials.passwords import hash_password


def ask_password(password_stdin: bool, memory: int) -> str:
    """Return the hash of a new password, for which ``memory`` KiB are used.

    The password is standard input without its last line end, or is typed twice on the terminal. Raises
    ``CommandFailed`` if there is no terminal.
    """
    if password_stdin:
        return hash_password(sys.stdin.read().removesuffix("\n").removesuffix("\r"), memory)
    if not sys.stdin.isatty():
        raise CommandFailed("There is no terminal to ask for the password on; use --password-stdin")
    typed = click.prompt("Password", hide_input=True, confirmation_prompt="Once more", err=True)
    return hash_password(typed, memory)
