"""The page in Chromium: what is sent until it can be used, and when that is, with a processor as slow as a phone's."""

import statistics
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from playwright.sync_api import Browser, BrowserContext, Response, sync_playwright
from tests.built_page import built_page
from tests.chromium import chromium
from tests.programs import ProgramMissing

from benchmarks.bench import Bench
from benchmarks.contenders.contender import Broken
from benchmarks.report import Column, Report, Target

COLUMNS: Final = (
    Column("title", "page"),
    Column("requests", "requests", ",d"),
    Column("kilobytes", "kB sent", ".1f"),
    Column("full_ms", "usable after ms", ",.0f"),
    Column("slow_ms", "with a quarter of the processor", ",.0f"),
    Column("shift", "layout shift", ".3f"),
)
SLOW: Final = 4  # times slower, as Lighthouse does for phones
PARTS: Final = ("responseBodySize", "responseHeadersSize")
LIST: Final = "/w/t0/nodes"
# Each with what has to be on the page before a person can begin.
PAGES: Final = {"sign in": "input[type=password]", "list of 50 rows": "tbody tr:nth-child(50)"}
QUIET: Final = 1000  # milliseconds without a long task, after which the page is taken to be at rest
# A long task keeps the page from answering for more than 50 ms (https://www.w3.org/TR/longtasks-1/).
WATCH: Final = """
window.longTasks = [];
window.shift = 0;
new PerformanceObserver(list => longTasks.push(...list.getEntries().map(each => each.startTime + each.duration)))
  .observe({ type: "longtask", buffered: true });
new PerformanceObserver(list => { for (const each of list.getEntries()) window.shift += each.value; })
  .observe({ type: "layout-shift", buffered: true });
"""
USABLE: Final = """
async ([wanted, quiet]) => {
  while (!document.querySelector(wanted)) await new Promise(requestAnimationFrame);
  const shown = performance.now();
  for (;;) {
    const last = Math.max(shown, ...longTasks);
    if (performance.now() - last > quiet) return { usable: last, shift: window.shift };
    await new Promise(resolve => setTimeout(resolve, 50));
  }
}
"""


def page(bench: Bench) -> Report:
    """Usable: what a person begins with is shown, and the last task that took over 50 ms has ended."""
    rows = []
    deployment = bench.tenants("sqlite", 8)
    with deployment.serving(bench.directory) as server, _chromium() as browser:
        for title, wanted in PAGES.items():
            token = deployment.tokens["t0"] if title != "sign in" else None
            visits = {
                slow: [_visit(browser, server.port, token, wanted, slow) for _ in range(1 + bench.rounds)][1:]
                for slow in (1, SLOW)
            }
            rows.append(_row(title, visits))
    targets = [Target(f"{row['title']}: usable, slow", 1500, row["slow_ms"], " ms", at_most=True) for row in rows]
    targets += [Target(f"{row['title']}: sent", 92.16, row["kilobytes"], " kB", at_most=True) for row in rows]
    return Report("The first page", COLUMNS, rows, targets)


@contextmanager
def _chromium() -> Iterator[Browser]:
    try:
        program = chromium()
        built_page()
    except ProgramMissing as reason:
        raise Broken(str(reason)) from reason
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program, args=["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
        )
        yield browser
        browser.close()


def _visit(browser: Browser, port: int, token: str | None, wanted: str, slow: int) -> dict[str, float]:
    """Open the list with an empty cache, as somebody signed in or not."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    url = f"http://localhost:{port}"
    if token is not None:
        context.add_cookies([{"name": "tenantapp", "value": token, "url": url}])
        context.add_init_script("localStorage.setItem('tenantapp.signed-in', 'true')")
    context.add_init_script(WATCH)
    found = _measured(context, url + LIST, wanted, slow)
    context.close()
    return found


def _measured(context: BrowserContext, url: str, wanted: str, slow: int) -> dict[str, Any]:
    tab = context.new_page()
    context.new_cdp_session(tab).send("Emulation.setCPUThrottlingRate", {"rate": slow})
    sent: list[Response] = []
    tab.on("response", lambda response: sent.append(response))  # Playwright marks its listeners
    tab.goto(url, wait_until="commit")
    found: dict[str, float] = tab.evaluate(USABLE, [wanted, QUIET])
    size = sum(each.request.sizes()[part] for each in sent for part in PARTS)
    return {**found, "requests": len(sent), "kilobytes": size / 1000}


def _row(title: str, visits: dict[int, list[dict[str, float]]]) -> dict[str, Any]:
    full, slow = visits[1], visits[SLOW]
    return {
        "title": title,
        "requests": int(max(each["requests"] for each in full)),
        "kilobytes": max(each["kilobytes"] for each in full),
        "full_ms": statistics.median(each["usable"] for each in full),
        "slow_ms": statistics.median(each["usable"] for each in slow),
        "shift": max(each["shift"] for each in full + slow),
    }
