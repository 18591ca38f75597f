"""A person at a page, and what the browser complains of."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from playwright.sync_api import BrowserContext, Dialog, Locator, Page

from tests.built_page import FRONTEND

DEMO_PASSWORD = "purple teapot parade"
FAILED = re.compile(r"the server responded with a status of (\d+)")
RULES = {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
# No rule of these reads style sheets. In dark colors only those are asked again that look at colors.
AXE = {"runOnly": RULES, "resultTypes": ["violations"], "preload": False}
COLORS = {**AXE, "runOnly": {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}}
# Undefined if axe is not in the page. Of what it finds, only what is said goes to the test.
RUN_AXE = """async asked => {
  for (let frames = 0; document.querySelector("[aria-busy=true]"); frames += 1) { // what is busy is faint
    if (frames > 3_600) throw new Error("The page has been busy for a minute.");
    await new Promise(requestAnimationFrame);
  }
  if (!window.axe) return undefined;
  const { violations } = await axe.run(asked);
  return violations.map(({ id, nodes }) => [id, nodes.slice(0, 3).map((node) => node.html.slice(0, 200))]);
}"""
GO = "path => { history.pushState(null, '', path); dispatchEvent(new PopStateEvent('popstate')) }"
TOO_WIDE = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"


class Visitor:
    """A tab of a browser, which notes all errors on its console."""

    def __init__(self, context: BrowserContext, url: str) -> None:
        self.context, self.url = context, url
        self.page: Page = context.new_page()
        self.scheme: Literal["light", "dark"] = "light"
        self.complaints: list[str] = []
        self.page.on("console", self._note)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", self._refuse)

    def _note(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(f"{message.text} ({message.location['url']})")

    def _refuse(self, dialog: Dialog) -> None:
        """The page has dialogs of its own: one of the browser is a script that has got in."""
        self.complaints.append(f"{dialog.type}: {dialog.message}")
        dialog.dismiss()

    def unexpected(self, statuses: Sequence[int] = ()) -> list[str]:
        """What the browser complained of, but for answers with these statuses, which it calls errors too."""
        allowed = {str(status) for status in statuses}
        return [text for text in self.complaints if not ((found := FAILED.search(text)) and found[1] in allowed)]

    def open(self, path: str) -> "Visitor":
        self.page.goto(self.url + path)
        return self

    def go(self, path: str) -> "Visitor":
        """Go to an address within the document that is open, as by a link. Another document takes twice the time."""
        self.page.evaluate(GO, path)
        return self

    def sign_in(self, login: str, path: str = "/", password: str = DEMO_PASSWORD) -> "Visitor":
        """Open an address, and sign in where it asks for that."""
        return self.open(path).give_password(login, password)

    def give_password(self, login: str, password: str = DEMO_PASSWORD) -> "Visitor":
        """Sign in where the page that is open asks for that."""
        self.page.get_by_label("Login").fill(login)
        self.page.get_by_label("Password").fill(password)
        self.button("Sign in").click()
        self.page.get_by_role("heading", name="Sign in").wait_for(state="detached")
        return self

    def signed_in(self, login: str, path: str, password: str = DEMO_PASSWORD) -> "Visitor":
        """Open an address as somebody who has signed in before, which takes less time than to do it."""
        return self.with_session(login, password).open(path)

    def with_session(self, login: str, password: str = DEMO_PASSWORD) -> "Visitor":
        """Sign in by the API. No page is open yet: the first one takes as long as all else that many tests do."""
        body = json.dumps({"login": login, "password": password})
        headers = {"Content-Type": "application/json"}
        made = self.context.request.post(f"{self.url}/api/v1/session", data=body, headers=headers)
        assert made.status == 201, made.text()
        self.context.add_init_script("localStorage.setItem('tenantapp.signed-in', 'true')")
        return self

    def tab(self) -> "Visitor":
        """Another tab of the same browser."""
        return Visitor(self.context, self.url)

    def button(self, name: str) -> Locator:
        return self.page.get_by_role("button", name=name, exact=True)

    def link(self, name: str) -> Locator:
        return self.page.get_by_role("link", name=name, exact=True)

    def sheet(self) -> Locator:
        """The dialog in front."""
        return self.page.locator("dialog[open]").last

    def field(self, label: str) -> Locator:
        """The control of a field in the dialog in front."""
        return self.sheet().get_by_label(re.compile(rf"^\s*{label}(\s+required)?\s*$"))

    def titles(self) -> list[str]:
        """The first column of the list."""
        return self.page.locator("tbody .row-link").all_inner_texts()

    def said(self, text: str) -> None:
        """Wait for a short message."""
        self.page.locator(".toast", has_text=text).wait_for()

    def api(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """Call the API as this browser does, apart from the page."""
        session = self.context.request.get(f"{self.url}/api/v1/session").json()
        sent = {"X-CSRF-Token": session["csrf_token"], "Content-Type": "application/json", **headers}
        data = None if body is None else json.dumps(body)
        return self.context.request.fetch(f"{self.url}/api/v1{path}", method=method, headers=sent, data=data).json()

    def violations(self) -> list[str]:
        """What axe finds wrong on the page, in light colors and in dark ones, with the same page.

        All rules are asked in the present colors, and those that look at colors in the others, which then stay.
        """
        found = self.violations_in_present_colors()
        self.scheme = "dark" if self.scheme == "light" else "light"
        self.page.emulate_media(color_scheme=self.scheme)
        return found + self._violations(COLORS)

    def violations_in_present_colors(self) -> list[str]:
        """What axe finds wrong on the page, where other tests have looked at the same page in other colors."""
        return self._violations(AXE)

    def page_violations(self) -> list[str]:
        """What axe finds on a whole page, and by how much the page is too wide for a small telephone."""
        found = self.violations()
        before = self.page.viewport_size
        assert before is not None
        self.page.set_viewport_size({"width": 360, "height": 740})
        if excess := self.page.evaluate(TOO_WIDE):
            found.append(f"{excess} px too wide")
        self.page.set_viewport_size(before)
        return found

    def _violations(self, asked: dict[str, Any]) -> list[str]:
        """What axe finds wrong in the present colors (https://github.com/dequelabs/axe-core)."""
        found = self.page.evaluate(RUN_AXE, asked)
        if found is None:
            self.page.evaluate(_axe())
            found = self.page.evaluate(RUN_AXE, asked)
        return [f"{rule} in {self.scheme} colors: {nodes}" for rule, nodes in found]


def element_that(does: str) -> str:
    """A module of a builder's component that does this when it is shown."""
    defined = "customElements.define('odd-one', Odd)"
    return f"export default class Odd extends HTMLElement {{ connectedCallback() {{ {does} }} }}; {defined}"


def _axe() -> str:
    path: Path = FRONTEND / "node_modules" / "axe-core" / "axe.min.js"
    return path.read_text()
