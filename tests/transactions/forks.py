"""``python -m tenantapp.serving``, forked from a process that has made an application and serves none.

So its master and its workers have imported already what each of them would import for two seconds. What is another file
for them, the domain, they import themselves.
"""

import gc
import os
import runpy
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Final

from tests.forks import ROOT, Forked, ForkServer, fork_on_request

SERVERS: Final = ForkServer(__name__)


def begin_serving(arguments: Sequence[str], directory: Path, environment: Mapping[str, str]) -> Forked:
    """Begin the program in a directory, with this environment and no other; its output is added to files there."""
    return SERVERS.fork(arguments=arguments, directory=str(directory), environment=environment)


def main() -> None:
    """Fork servers on request. Nothing but this thread is in the process, and it is connected to nothing."""
    gc.disable()
    import_module("tenantapp.serving.master")
    _make_an_application()
    assert threading.enumerate() == [threading.main_thread()]
    gc.freeze()
    gc.enable()
    fork_on_request(_serve)


def _make_an_application() -> None:
    from tenantapp import main as make_app
    from tenantapp.databases.histories.upgrading import upgrade_user_database
    from tenantapp.settings import read_settings

    with tempfile.TemporaryDirectory(prefix="tenantapp-forks-") as directory:
        values = {
            "user_db.url": f"sqlite+pysqlite:///{directory}/user.sqlite",
            "servers.main": f"sqlite+pysqlite:///{directory}/main/",
        }
        upgrade_user_database(read_settings(values, {}))
        make_app({}, **values).registry.user_db.dispose()


def _serve(arguments: Sequence[str], directory: str, environment: Mapping[str, str]) -> None:
    os.chdir(directory)
    os.environ.clear()
    os.environ.update(environment)
    tempfile.tempdir = None
    paths = environment.get("PYTHONPATH", "").split(os.pathsep)
    sys.path[:] = [*filter(None, paths), *(path for path in sys.path if Path(path) != ROOT)]
    print(os.getpid(), flush=True)
    for number, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666), number)
    sys.argv = ["tenantapp.serving", *arguments]
    runpy.run_module("tenantapp.serving", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
