"""Usage in the application: requests and their statements are counted, and a thread writes what was counted."""

import logging
from contextlib import suppress
from threading import Event

from pyramid.config import Configurator

from tenantapp.operations.background import DATABASE_ERRORS, Background, repeat
from tenantapp.usage import ledger, processes, statement_ledger
from tenantapp.usage.ledger import Ledger
from tenantapp.usage.meter import Meter
from tenantapp.usage.observing import counting
from tenantapp.usage.processes import ProcessReport
from tenantapp.usage.statement_ledger import StatementLedger
from tenantapp.usage.statement_meter import StatementMeter

log = logging.getLogger(__name__)


def includeme(config: Configurator) -> None:
    """Put ``usage_ledger``, ``statement_ledger`` and ``usage_thread`` on the registry, and observe the requests.

    With ``usage.keep = 0`` nothing of it is done. The thread starts when the process begins to serve.
    """
    registry = config.registry
    if registry.app_settings.usage_keep:
        meter, statements = Meter(), StatementMeter()
        written = Ledger(meter, registry.user_db), StatementLedger(statements, registry.user_db)
        writers = Writers(*written, ProcessReport(registry))
        registry.usage_ledger, registry.statement_ledger = writers.ledger, writers.statements
        registry.usage_thread = Background("usage", writers.run)
        registry.serving_threads.add(registry.usage_thread)
        registry.request_observers.append(counting(meter))
        registry.bulkhead.wait_observers.append(statements.waited)


class Writers:
    """Writes what was counted, every few seconds."""

    def __init__(self, usage: Ledger, statements: StatementLedger, process: ProcessReport) -> None:
        self.ledger, self.statements, self._process = usage, statements, process

    def run(self, stop: Event) -> None:
        """Write until ``stop`` is set, and once more at the end."""
        works = {
            ledger.CANNOT: self.ledger.write,
            statement_ledger.CANNOT: self.statements.write_sometimes,
            processes.CANNOT: self._process.write_sometimes,
        }
        repeat(stop, works, ledger.WRITE_EVERY)
        self.ledger.write_last()
        try:
            self.statements.write()
        except DATABASE_ERRORS as error:
            log.error("The times of the last statements of this process are lost: %s", error)
        with suppress(*DATABASE_ERRORS):  # then the report grows old
            self._process.withdraw()
