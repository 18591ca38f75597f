"""Checks of the ini file, the settings, the domain and the application."""

import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from tenantapp.cli.checks.examination import Examination, Finding, ok, warning, wrong
from tenantapp.cli.domain_commands import DomainCommandsError, domain_commands
from tenantapp.cli.failures import explained
from tenantapp.credentials.passwords import MEMORY
from tenantapp.operations.outcomes import first_line
from tenantapp.private_files import open_regular
from tenantapp.settings import SettingsError

# A URL with a password, or the secret of the tenants' passwords.
SECRET: Final = re.compile(
    rb"^[ \t]*[^#;\s].*://[^/@\s]*:[^/@\s]+@|^[ \t]*tenancy\.(?:former_)?secret[ \t]*[=:][ \t]*\S", re.M
)
BASE: Final = re.compile(rb"^[ \t]*use[ \t]*=[ \t]*config:([^#\s]+)", re.M)


def ini_file(examination: Examination) -> Iterator[Finding]:
    """Check whether others may read secrets in the ini files, or change the files."""
    for path in _with_bases(examination.installation.ini):
        mode = path.stat().st_mode
        if mode & stat.S_IWOTH:
            yield warning("ini file", f"everybody on this machine can change {path}", f"Run `chmod o= {path}`")
        elif mode & stat.S_IROTH and _holds_secrets(path):
            yield warning(
                "ini file",
                f"{path} holds a password or tenancy.secret, and everybody on this machine can read it",
                f"Run `chmod o= {path}`, or give the secrets in environment variables",
            )
        else:
            yield ok("ini file", str(path))


def settings(examination: Examination) -> Iterator[Finding]:
    """Read the settings as ``pserve`` does."""
    try:
        found = examination.installation.settings
    except (SettingsError, OSError) as error:
        advice = "Correct it, or name another file with --ini; docs/settings.md has all settings"
        yield wrong("settings", explained(error), advice)
        return
    servers = ", ".join(found.servers)
    yield ok("settings", f"read; servers: {servers}")
    if found.tenancy_former_secret is not None:
        advice = "Run `tenantapp secrets rotate`, and then remove it"
        yield warning("settings", "tenancy.former_secret is still accepted", advice)
    if found.passwords_memory < MEMORY:
        detail = f"hashed with {found.passwords_memory} KiB of memory, less than the recommended minimum"
        yield warning("passwords", detail, f"Let passwords.memory be at least {MEMORY}")


def domain(examination: Examination) -> Iterator[Finding]:
    """Import the domain's package and its models, and read its migrations."""
    from tenantapp.cli import COMMANDS
    from tenantapp.databases.histories.histories import head_revision, history_digest, tenant_metadata

    found = examination.installation.settings
    package = found.tenantapp_domain
    try:
        tables = len(tenant_metadata(found).tables)
    except Exception as error:  # the domain is code of the builder
        yield wrong(
            "domain",
            f"{package} cannot be imported ({_named(error)})",
            "Correct the package, or the setting tenantapp.domain",
        )
        return
    head = head_revision(found, "tenant")
    if missing := history_digest(found, "tenant").unnamed_tables:
        detail = f"no revision of the tenant history makes {', '.join(missing)}, tables of tenantapp"
        yield warning("domain", detail, "Run `tenantapp revision tenant -m TEXT`, and then `tenantapp migrate`")
    else:
        yield ok("domain", f"{package}: {tables} tables, newest revision {head}")
    try:
        domain_commands(examination.installation.ini, list(COMMANDS))
    except DomainCommandsError as error:
        yield wrong("commands", error.message, f"Correct the module {package}.commands")


def application(examination: Examination) -> Iterator[Finding]:
    """Make the application as ``pserve`` does, without serving it."""
    from pyramid.paster import get_app

    try:
        made = get_app(str(examination.installation.ini.absolute()))
    except SystemExit as ended:
        if not isinstance(ended.code, str):
            raise  # the command was stopped
        yield wrong("application", ended.code.removeprefix("tenantapp: "), "Correct the setting")
    except Exception as error:  # whatever the domain's code raises
        advice = "Correct what it names; `pserve` shows where it was raised"
        yield wrong("application", f"it does not start ({_named(error)})", advice)
    else:
        _close(made)
        yield ok("application", "it starts")


def _close(application: Any) -> None:
    registry = getattr(application, "registry", None)  # a WSGI filter around it may hide it
    for name in ("user_db", "tenant_dbs"):
        if hasattr(registry, name):
            getattr(registry, name).dispose()


def _named(error: Exception) -> str:
    return f"{type(error).__name__}: {first_line(error)}"


def _with_bases(ini: Path) -> list[Path]:
    """Return the ini file and the files that it is based on, as far as they can be read."""
    found: list[Path] = []
    left = [ini]
    while left:
        path = left.pop().absolute()
        content = _content(path)
        if content is None or path in found:
            continue
        found.append(path)
        left += [path.parent / os.fsdecode(base) for base in BASE.findall(content)]
    return found


def _holds_secrets(path: Path) -> bool:
    return SECRET.search(_content(path) or b"") is not None


def _content(path: Path) -> bytes | None:
    try:
        file = open_regular(path)
    except OSError:
        return None  # the check of the settings says why
    if file is None:
        return None
    with file:
        return file.read()
