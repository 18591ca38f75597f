"""The program that replaces ``pserve``: ``python -m tenantapp.serving INI [NAME=VALUE ...]``."""

import sys

from tenantapp.private_files import keep_files_private
from tenantapp.serving.master import Application
from tenantapp.settings import SettingsError


def run(path: str, *variables: str) -> None:
    """Serve until a signal stops the process. Raises ``SystemExit`` with one sentence if a setting is wrong."""
    keep_files_private()
    try:
        application = Application(path, dict(variable.split("=", 1) for variable in variables))
    except SettingsError as error:
        raise SystemExit(f"tenantapp: {error}.") from None
    application.run()


run(*sys.argv[1:])
