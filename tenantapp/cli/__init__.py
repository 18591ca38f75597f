"""How does an operator work from the command line?

It starts the application as ``pserve`` does and calls the services that the views call, each in a transaction of its
own. What goes wrong is one sentence on stderr and a status other than 0; a traceback is a bug.
"""

import logging
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import click

from tenantapp.cli.failures import KNOWN_ERRORS, sentence
from tenantapp.cli.installation import Installation
from tenantapp.cli.lazy_group import LazyGroup

FAILED: Final = 1
INTERRUPTED: Final = 130  # 128 + SIGINT, as shells have it
COMMANDS: Final = {
    "demo": "tenantapp.cli.demo:demo",
    "fleet": "tenantapp.cli.fleet:fleet",
    "grants": "tenantapp.cli.grants:grants",
    "groups": "tenantapp.cli.groups:groups",
    "init": "tenantapp.cli.databases:init",
    "migrate": "tenantapp.cli.migrate:migrate",
    "operations": "tenantapp.cli.operations:operations",
    "revision": "tenantapp.cli.databases:revision",
    "roles": "tenantapp.cli.roles:roles",
    "sweep": "tenantapp.cli.databases:sweep",
    "tenants": "tenantapp.cli.tenants:tenants",
    "users": "tenantapp.cli.users:users",
    "worker": "tenantapp.cli.worker:worker",
}


@click.group(cls=LazyGroup, places=COMMANDS)
@click.version_option(package_name="tenantapp")
@click.option(
    "--ini",
    type=click.Path(path_type=Path),
    envvar="TENANTAPP_INI",
    show_envvar=True,
    default=Path("development.ini"),
    show_default=True,
    help="The configuration.",
)
@click.option("-v", "--verbose", is_flag=True, help="Show the log on stderr.")
@click.pass_context
def commands(context: click.Context, ini: Path, verbose: bool) -> None:
    """One login, many databases: people, tenants and permissions.

    Every setting of the configuration can also come from the environment: user_db.url as TENANTAPP_USER_DB_URL.
    """
    # Without a handler Python would print warnings to stderr, among what is meant for people.
    if verbose:
        logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    else:
        logging.basicConfig(handlers=[logging.NullHandler()])
    context.obj = Installation(ini)
    context.call_on_close(context.obj.close)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line, by default that of the process. Returns its exit status."""
    # Ended politely, a command undoes what it has begun, as it does when it is interrupted.
    signal.signal(signal.SIGTERM, _stop)
    try:
        # An int comes from --help and --version; a command that did its work returns nothing.
        return commands.main(arguments, prog_name="tenantapp", standalone_mode=False) or 0
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return error.exit_code
    except click.ClickException as error:
        return _fail(error.format_message(), error.exit_code)
    except click.Abort:
        return _fail("Interrupted", INTERRUPTED)
    except BrokenPipeError:
        # Whoever read our output has had enough; flushing what is left at exit must not fail once more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except KNOWN_ERRORS as error:
        return _fail(sentence(error), FAILED)


def _stop(number: int, frame: object) -> None:
    raise SystemExit(128 + number)


def _fail(message: str, status: int) -> int:
    one_line = " ".join(message.split()).rstrip(".")
    print(f"tenantapp: {one_line}{'' if one_line.endswith('?') else '.'}", file=sys.stderr)
    return status
