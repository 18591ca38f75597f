"""Count the requests of the application, if somebody asks for it."""

import logging
import os
import tempfile
from pathlib import Path
from typing import Any

from pyramid.config import Configurator

from tenantapp.metrics.answering import Answers
from tenantapp.metrics.counts import Counts
from tenantapp.metrics.slots import Slot
from tenantapp.operations.background import Background
from tenantapp.settings import Settings
from tenantapp.tenancy.observing import Served

log = logging.getLogger(__name__)


def includeme(config: Configurator) -> None:
    """Count from the moment when the application is served. The setting ``metrics.listen`` must be there."""
    settings: Settings = config.registry.app_settings
    address: Any = settings.metrics_listen
    metrics = Metrics(address, settings.metrics_directory, config.registry)
    config.registry.metrics = metrics
    config.registry.request_observers.append(metrics.count)
    config.registry.serving_threads.add(metrics)


class Metrics:
    """The metrics of this process. Nothing is counted before ``start``: a command that makes an application has none.

    ``address`` is where Prometheus asks. ``directory`` is that of the files in which processes count, by default one
    in the directory for temporary files.
    """

    def __init__(self, address: tuple[str, int], directory: str | None, registry: Any) -> None:
        self._address, self._registry = address, registry
        place = f"tenantapp-metrics-{os.geteuid()}-{address[0]}-{address[1]}"
        self._directory = Path(directory or f"{tempfile.gettempdir()}/{place}")
        self._counts: Counts | None = None
        self.answers: Answers | None = None

    def start(self) -> None:
        """Begin to count, and to answer. If that cannot be done, it is logged."""
        try:
            slot = Slot(self._directory)
        except OSError as error:
            log.error("Nothing is counted, because %s cannot be used: %s", self._directory, error.strerror)
            return
        self._counts = Counts()
        self.answers = Answers(self._address, slot, self._counts, self._registry)
        self.thread = Background("metrics", self.answers.run)
        self.thread.start()

    def count(self, served: Served) -> None:
        """Count a request: an observer of requests."""
        if self._counts is not None:
            self._counts.count(served)
