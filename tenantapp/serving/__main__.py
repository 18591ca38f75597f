"""What ``pserve`` becomes: ``python -m tenantapp.serving INI [NAME=VALUE ...]``."""

import sys

from tenantapp.private_files import keep_files_private
from tenantapp.serving.master import Application
from tenantapp.settings import SettingsError


def run(path: str, *variables: str) -> None:
    """Serve until told to stop. A setting that is wrong ends the process with one sentence."""
    keep_files_private()
    try:
        application = Application(path, dict(variable.split("=", 1) for variable in variables))
    except SettingsError as error:
        raise SystemExit(f"tenantapp: {error}.") from None
    application.run()


run(*sys.argv[1:])
