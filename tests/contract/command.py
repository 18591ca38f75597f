"""``tenantapp``, as a program that is forked."""

from tenantapp.cli import main as tenantapp


def main(*arguments: str) -> int:
    """Do what the command does with these arguments; returns its status."""
    return tenantapp(arguments)
