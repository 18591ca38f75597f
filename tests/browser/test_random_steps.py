"""A random walk through the page in two tabs of one browser, which show two workspaces."""

import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.browser.visitor import Visitor
from tests.browser.workshop import Workshop
from tests.installation import PASSWORD

Visit = Callable[..., Visitor]
STEPS = int(os.environ.get("WALK_STEPS", "1000"))  # of both tabs together
SEED = int(os.environ.get("WALK_SEED", secrets.randbelow(2**31)))
WALK = (Path(__file__).parent / "walk.js").read_text()
SLUGS = ["north", "south"]
SEEDED = 60  # more than a page has
SMALL = {"width": 800, "height": 240}  # of what is shown, little is to be seen: to draw it takes a fifth of the time
# The titles tell where a row belongs. The other columns would be drawn with each list, and nothing asks about them.
TITLES_ALONE = "localStorage.setItem('tenantapp.columns.nodes', '[\"title\"]')"


def titles_in(visitor: Visitor, slug: str) -> list[str]:
    """The titles of all nodes in a workspace, by the API."""
    path, found = "/nodes?limit=500", []
    while path:
        answer = visitor.api("GET", path, **{"X-Tenant": slug})
        found += [row["title"] for row in answer["items"]]
        path = f"/nodes?limit=500&cursor={answer['next']}" if answer["next"] else ""
    return found


def test_steps_at_random_in_two_tabs_leave_each_row_in_its_workspace(workshop: Workshop, visit: Visit) -> None:
    print(f"WALK_SEED={SEED}")
    for slug in SLUGS:
        workshop.create_tenant(slug, both="author")
    one = visit(workshop.site, viewport=SMALL)
    one.context.add_init_script(TITLES_ALONE)
    one.with_session("both", PASSWORD)
    for slug in SLUGS:
        seeds = [{"method": "POST", "path": "/nodes", "body": {"title": f"{slug}-seed-{n}"}} for n in range(SEEDED)]
        one.api("POST", "/batch", {"requests": seeds}, **{"X-Tenant": slug})
    tabs = {"a": one, "b": one.tab()}
    begun: dict[str, Any] = {}
    for (mark, tab), slug in zip(tabs.items(), SLUGS, strict=True):
        tab.open(f"/w/{slug}/nodes").page.locator("tbody tr").first.wait_for()
        tab.page.evaluate(WALK)
        begun = {"mark": mark, "seed": SEED + ord(mark), "steps": STEPS // 2, "slugs": SLUGS}
        tab.page.evaluate(
            "asked => { window.walked = window.walk(asked); window.walked.catch(() => undefined) }", begun
        )
    walked = [tab.page.evaluate("() => window.walked") for tab in tabs.values()]
    print([each["done"] for each in walked])
    for number, slug in enumerate(SLUGS):
        made = [title for each in walked for title in each["made"][number]]
        expected = sorted(made + [f"{slug}-seed-{n}" for n in range(SEEDED)])
        assert sorted(titles_in(one, slug)) == expected, f"WALK_SEED={SEED}"
    # Back may lead to a row that is deleted.
    assert [text for tab in tabs.values() for text in tab.unexpected([404])] == [], f"WALK_SEED={SEED}"
