"""Alembic's own command line."""

from alembic.config import CommandLine


def main(*arguments: str) -> int:
    """Run it, and return the exit status."""
    try:
        CommandLine("alembic").main(list(arguments))
    except SystemExit as error:
        return int(error.code or 0)
    return 0
