"""Passwords that are typed, or come from standard input."""

import sys

import click

from tenantapp.cli.failures import CommandFailed
from tenantapp.identity.passwords import hash_password


def ask_password(password_stdin: bool) -> str:
    """The hash of a new password: of all of standard input less its last line end, or of what is typed twice.

    Raises ``CommandFailed`` when there is no terminal to ask on.
    """
    if password_stdin:
        return hash_password(sys.stdin.read().removesuffix("\n").removesuffix("\r"))
    if not sys.stdin.isatty():
        raise CommandFailed("There is no terminal to ask for the password; give it with --password-stdin")
    return hash_password(click.prompt("Password", hide_input=True, confirmation_prompt="Once more", err=True))
