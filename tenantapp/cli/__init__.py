"""How does an operator work from the command line?

A command reads the settings as ``pserve`` does. It calls the same services as the views, each in a transaction of its
own. It makes no application. An error is one sentence on stderr and an exit status other than 0. A traceback is a bug.

``commands`` declares the commands and imports nothing but click. A command imports its services when it is called, so
help and completion are quick.
"""

import gc
import logging
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import click

from tenantapp.cli.installation import Installation
from tenantapp.cli.lazy_group import LazyGroup
from tenantapp.private_files import keep_files_private

FAILED: Final = 1
INTERRUPTED: Final = 130  # 128 + SIGINT, as shells have it
COLLECT_AFTER: Final = 100_000  # new objects; a command is over before it has made enough garbage to matter
INI_VARIABLE: Final = "TENANTAPP_INI"
DEFAULT_INI: Final = Path("development.ini")
OF_DOMAIN: Final = "tenantapp.domain_commands"  # the key in a context's ``meta``
SOURCES: Final = ("new", "revision")  # they write source code, which others may read
COMMANDS: Final = {
    "accept-loss": "tenantapp.cli.commands.databases:accept_loss",
    "audit": "tenantapp.cli.commands.audit:audit",
    "check": "tenantapp.cli.commands.check:check",
    "completion": "tenantapp.cli.commands.completion:completion",
    "demo": "tenantapp.cli.commands.demo:demo",
    "doctor": "tenantapp.cli.commands.doctor:doctor",
    "fleet": "tenantapp.cli.commands.fleet:fleet",
    "grants": "tenantapp.cli.commands.grants:grants",
    "groups": "tenantapp.cli.commands.groups:groups",
    "impersonations": "tenantapp.cli.commands.impersonations:impersonations",
    "init": "tenantapp.cli.commands.databases:init",
    "jobs": "tenantapp.cli.commands.jobs:jobs",
    "migrate": "tenantapp.cli.commands.migrate:migrate",
    "moments": "tenantapp.cli.commands.moments:moments",
    "new": "tenantapp.cli.commands.new:new",
    "openapi": "tenantapp.cli.commands.openapi:openapi",
    "operations": "tenantapp.cli.commands.operations:operations",
    "passwords": "tenantapp.cli.commands.passwords:passwords",
    "revision": "tenantapp.cli.commands.databases:revision",
    "roles": "tenantapp.cli.commands.roles:roles",
    "secrets": "tenantapp.cli.commands.secrets:secrets",
    "service-accounts": "tenantapp.cli.commands.service_accounts:service_accounts",
    "sso": "tenantapp.cli.commands.sso:sso",
    "sweep": "tenantapp.cli.commands.databases:sweep",
    "tenants": "tenantapp.cli.commands.tenants:tenants",
    "tokens": "tenantapp.cli.commands.tokens:tokens",
    "users": "tenantapp.cli.commands.users:users",
    "worker": "tenantapp.cli.commands.worker:worker",
}


class Program(LazyGroup):
    """All commands: ours, and those of the domain."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands, sorted. If those of the domain cannot be loaded, they are left out."""
        try:
            return sorted({*COMMANDS, *_of_domain(ctx)})
        except Exception:  # a command that needs the settings or the domain says what is wrong
            return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command of this name, or None if there is none."""
        return super().get_command(ctx, cmd_name) or _of_domain(ctx).get(cmd_name)


def _of_domain(context: click.Context) -> Mapping[str, click.Command]:
    """Return the commands of the domain, also while the options of the command line are still being read."""
    if OF_DOMAIN not in context.meta:
        from tenantapp.cli.domain_commands import domain_commands

        ini = Path(context.params.get("ini") or os.environ.get(INI_VARIABLE) or DEFAULT_INI)
        context.meta[OF_DOMAIN] = domain_commands(ini, [*COMMANDS])
    found: Mapping[str, click.Command] = context.meta[OF_DOMAIN]
    return found


@click.group(cls=Program, places=COMMANDS)
@click.version_option(package_name="tenantapp")
@click.option(
    "--ini",
    type=click.Path(path_type=Path),
    envvar=INI_VARIABLE,
    show_envvar=True,
    default=DEFAULT_INI,
    show_default=True,
    is_eager=True,  # the help lists the commands of the domain that it names
    help="The configuration file.",
)
@click.option("-v", "--verbose", is_flag=True, help="Write the log to stderr.")
@click.pass_context
def program(context: click.Context, ini: Path, verbose: bool) -> None:
    """Manage people, tenants and permissions: one login, many databases.

    Environment variables override the configuration file: TENANTAPP_USER_DB_URL is the setting user_db.url.
    """
    # Without a handler, Python would print warnings to stderr, where they would mix with messages for people.
    if verbose:
        logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    else:
        logging.basicConfig(handlers=[logging.NullHandler()])
    if context.invoked_subcommand not in SOURCES:
        keep_files_private()
    context.obj = Installation(ini)
    context.call_on_close(context.obj.close)


def run() -> int:
    """Run the command line as a program of its own, and return its exit status.

    Most of a short command's time is imports, which make some 300,000 objects. Python would look for garbage among them
    while they are made, and look at all of them again at exit. Without that a command takes a third less time.
    """
    gc.set_threshold(COLLECT_AFTER)
    try:
        return main()
    finally:
        gc.freeze()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line, by default that of the process, and return the exit status."""
    # After SIGTERM, a command undoes what it has begun, as it does after Ctrl-C.
    signal.signal(signal.SIGTERM, _stop)
    try:
        # --help and --version return an int. A command that succeeded returns None.
        return program.main(arguments, prog_name="tenantapp", standalone_mode=False) or 0
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return error.exit_code
    except click.ClickException as error:
        return _fail(error.format_message(), error.exit_code)
    except click.Abort:
        return _fail("Interrupted", INTERRUPTED)
    except BrokenPipeError:
        # The reader of our output has closed the pipe. Flushing the rest at exit must not fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except Exception as error:
        # Imported only now, because it imports SQLAlchemy, which defines most of these errors.
        from tenantapp.cli.failures import explained, is_known

        if not is_known(error):
            raise
        return _fail(explained(error), FAILED)


def _stop(number: int, frame: object) -> None:
    raise SystemExit(128 + number)


def _fail(message: str, status: int) -> int:
    one_line = " ".join(message.split()).rstrip(".")
    print(f"tenantapp: {one_line}{'' if one_line.endswith('?') else '.'}", file=sys.stderr)
    return status
