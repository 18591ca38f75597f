"""Set up gunicorn: its master process and its workers."""

import gc
import logging
import signal
import time
from collections.abc import Mapping
from typing import Any

from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from gunicorn.glogging import Logger

from tenantapp.ini_files import ini_loader
from tenantapp.serving.options import Options, read_options
from tenantapp.serving.worker import Worker

log = logging.getLogger(__name__)


class Log(Logger):
    """Sends gunicorn's messages to the log of the ini file. The application logs requests itself."""

    def setup(self, cfg: Any) -> None:
        self.error_log.propagate = True


class Application(BaseApplication):
    """The application of an ini file, with the options of its server section."""

    def __init__(self, path: str, variables: Mapping[str, str]) -> None:
        self._loader = ini_loader(path)
        self._path, self._variables = path, dict(variables)
        super().__init__()

    def do_load_config(self) -> None:
        """Read the server section and the configuration of the log, also at a reload. Raises ``SettingsError``."""
        options = self._read()
        self._loader.setup_logging(self._variables)
        self.load_default_config()
        for name, value in _gunicorn_settings(options).items():
            self.cfg.set(name, value)

    def load(self) -> Any:
        """Return the WSGI application. Each worker loads it itself. If it does not start, only that worker ends."""
        # What is loaded stays: a search for garbage, for which a request has to wait, need never look through it.
        gc.disable()
        try:
            return self._load()
        finally:
            gc.freeze()
            gc.enable()

    def _load(self) -> Any:
        try:
            self.options = self._read()
            app = self._loader.get_wsgi_app("main", self._variables)
        except SystemExit as error:
            log.error("The application does not start: %s", error)
            raise SystemExit(1) from None
        except Exception:
            # gunicorn would end all processes, also workers that still serve.
            log.exception("The application does not start.")
            raise SystemExit(1) from None
        # If the ini file wraps a filter around the application, its threads start with the first request.
        registry = getattr(app, "registry", None)
        if registry is not None:
            registry.serving_threads.start()
            if registry.app_settings.http_allowed_hosts is None:
                log.warning("Set http.allowed_hosts: without it, requests for any host are served.")
        return app

    def run(self) -> None:
        """Serve until a signal stops the process."""
        Master(self).run()

    def _read(self) -> Options:
        return read_options(self._loader.get_settings("server:main", self._variables))


class Master(Arbiter):
    """gunicorn's master with another reload.

    This reload replaces one worker after the other: a new worker serves before an old one stops. So requests never wait
    for a worker to start, and there is at most one process more than the number of workers. If a new worker does not
    start, the old ones go on serving.
    """

    def __init__(self, application: Application) -> None:
        self._outdated: set[int] = set()
        self._successor = self._stopping = 0
        super().__init__(application)

    def reload(self) -> None:
        """Begin a reload (SIGHUP). If the options are wrong, nothing changes."""
        try:
            self.app.reload()
        except Exception as error:
            log.error("Not reloaded: %s.", error)
            return
        self.setup(self.app)
        self._outdated = set(self.WORKERS)

    def manage_workers(self) -> None:
        """Do the next step of a reload, if one is under way. gunicorn calls this method about once a second."""
        self._outdated &= self.WORKERS.keys()
        if self._successor and self._successor not in self.WORKERS:
            self._outdated.clear()
            log.error("The reload was given up, because a new worker did not start. The old workers go on serving.")
        starting = any(not _serves(worker) for worker in self.WORKERS.values())
        if not starting:
            self._successor = 0
        if not self._outdated:
            super().manage_workers()
        elif not starting:
            self._replace_one()

    def _replace_one(self) -> None:
        if len(self.WORKERS) <= self.num_workers:
            self._successor = self.spawn_worker()
        elif self._stopping not in self.WORKERS:
            self._stopping = min(self._outdated, key=lambda process: self.WORKERS[process].age)
            self.kill_worker(self._stopping, signal.SIGTERM)


def _serves(worker: Any) -> bool:
    """Return whether a worker has begun to serve: from then on it writes the monotonic time into its file."""
    return bool(worker.tmp.last_update() <= time.monotonic())


def _gunicorn_settings(options: Options) -> dict[str, Any]:
    """Return gunicorn's settings (https://docs.gunicorn.org/en/stable/settings.html)."""
    return {
        "bind": f"[{options.host}]:{options.port}" if ":" in options.host else f"{options.host}:{options.port}",
        "proc_name": "tenantapp",
        "workers": options.workers,
        "worker_class": Worker,
        "threads": options.threads,
        "graceful_timeout": options.graceful_timeout,
        "logger_class": Log,
        "control_socket_disable": True,
    }
