"""How is the application served, and by how many processes?

``use = egg:tenantapp`` in ``[server:main]`` chooses this server. gunicorn's own runner for ini files serves the
application that ``pserve`` has loaded. Each worker would be a copy of it, with its sockets to databases, and a reload
would start the old code again. So this runner starts the application once, as a check, and then replaces the process by
a master that has not loaded it. Each worker loads the application itself.
"""

import os
import sys
from collections.abc import Mapping
from configparser import RawConfigParser
from typing import Any, Final, NoReturn

# The variables that pserve and PasteDeploy add to those of an ini file.
ADDED: Final = frozenset({"here", "__file__", "__script__"})


def serve(app: Any, global_conf: Mapping[str, str], **section: str) -> NoReturn:
    """Replace this process by gunicorn's master. This is a server runner for PasteDeploy, and does not return.

    The master reads the section again, as at each reload. ``main()`` has already checked it.
    """
    path = global_conf["__file__"]
    variables = [f"{name}={value}" for name, value in _from_command_line(path, global_conf).items()]
    sys.stdout.flush()
    sys.stderr.flush()
    # -P keeps the current directory out of the module search path, as for pserve and other installed programs.
    os.execv(sys.executable, [sys.executable, "-P", "-m", "tenantapp.serving", path, *variables])  # noqa: S606


def _from_command_line(path: str, global_conf: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that are not from the ini file. Those of the file are read again at each reload."""
    parser = RawConfigParser()
    parser.read(path)
    written = parser.defaults()
    return {
        name: value for name, value in global_conf.items() if name not in ADDED and written.get(name.lower()) != value
    }
