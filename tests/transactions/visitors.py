"""People who write and read while something happens to a server, and what must be there in the end."""

import threading
from collections.abc import Callable
from typing import Any

from tests.transactions.production import Page, Production


class Visitor(threading.Thread):
    """Writes and reads until told to stop, and keeps count of what was acknowledged.

    Between two requests it leaves the processor to the workers that start.
    """

    def __init__(self, page: Page, number: int, stop: threading.Event) -> None:
        super().__init__()
        self.page, self.number, self.stop = page, number, stop
        self.written: list[str] = []
        self.read = 0
        self.unexpected: list[Any] = []

    def run(self) -> None:
        while not self.stop.wait(0.1):
            title = f"{self.number}-{len(self.written) + len(self.unexpected)}"
            try:
                answer = self.page.send("POST", "/api/v1/nodes", {"title": title})
                (self.written if answer[0] == 201 else self.unexpected).append(title if answer[0] == 201 else answer)
                answer = self.page.send("GET", "/api/v1/nodes?limit=5")
                if answer[0] == 200:
                    self.read += 1
                else:
                    self.unexpected.append(answer)
            except Exception as error:
                self.unexpected.append(error)


def visit_during(server: Production, pages: list[Page], change: Callable[[], object]) -> list[str]:
    """Let people write and read on these pages while this happens; returns what was acknowledged."""
    stop = threading.Event()
    visitors = [Visitor(page, number, stop) for number, page in enumerate(pages)]
    for visitor in visitors:
        visitor.start()
    try:
        change()
    finally:
        stop.set()
        for visitor in visitors:
            visitor.join()
            visitor.page.connection.close()
    told = [line for line in server.log() if "method" not in line and line["levelname"] != "INFO"]
    assert [visitor.unexpected for visitor in visitors if visitor.unexpected] == [], told
    assert all(visitor.written and visitor.read for visitor in visitors)
    return [title for visitor in visitors for title in visitor.written]
