"""Who answers the socket, and with how many processes?

``use = egg:tenantapp`` in ``[server:main]``. gunicorn's own runner for ini files serves the application that ``pserve``
has loaded: every worker would be a copy of it, sockets to databases included, and a reload would bring the old code
again. So this one replaces the process, once the application is known to start, by a master that has loaded nothing
of it; each worker loads it for itself.
"""

import os
import sys
from collections.abc import Mapping
from configparser import RawConfigParser
from typing import Any, Final, NoReturn

# What pserve and PasteDeploy add to the variables of an ini file.
ADDED: Final = frozenset({"here", "__file__", "__script__"})


def serve(app: Any, global_conf: Mapping[str, str], **section: str) -> NoReturn:
    """PasteDeploy's server runner. Does not return: the process becomes gunicorn's master.

    The master reads the section again, as it does at each reload; ``main()`` has checked it.
    """
    path = global_conf["__file__"]
    variables = [f"{name}={value}" for name, value in _from_command_line(path, global_conf).items()]
    sys.stdout.flush()
    sys.stderr.flush()
    # -P: like pserve, a program that was installed, it finds no modules in the current directory.
    os.execv(sys.executable, [sys.executable, "-P", "-m", "tenantapp.serving", path, *variables])  # noqa: S606


def _from_command_line(path: str, global_conf: Mapping[str, str]) -> dict[str, str]:
    """The variables that the ini file does not say itself; what it says may be another thing at the next reload."""
    parser = RawConfigParser()
    parser.read(path)
    written = parser.defaults()
    return {
        name: value for name, value in global_conf.items() if name not in ADDED and written.get(name.lower()) != value
    }
