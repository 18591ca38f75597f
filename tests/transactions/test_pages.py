"""Pages of a list while others write: what stays is seen once, whatever comes and goes."""

import random
import threading
from collections import Counter
from typing import Any

from tests.installation import Client, Installation

STAYING = 40
SORTS = ("id", "-id", "title", "-title", "updated_at", "title,-updated_at")


def come_and_go(client: Client, seed: int, enough: threading.Event) -> None:
    chance, mine = random.Random(seed), []
    while not enough.is_set():
        if not mine or chance.random() < 0.6:
            answer = client.post("/nodes", {"title": f"{chance.choice('abcdef')} passing"})
            mine += [answer.json["id"]] if answer.status_int == 201 else []
        else:
            client.delete(f"/nodes/{mine.pop()}")


def pages(client: Client, sort: str) -> Counter[str]:
    """How often each row is seen in a walk through the list, by following the links."""
    seen: Counter[str] = Counter()
    query = f"_sort={sort}&limit=7"
    while True:
        answer = client.get(f"/nodes?{query}")
        seen.update(row["id"] for row in answer.json["items"])
        if answer.json["next"] is None:
            return seen
        query = answer.headers["Link"].partition(">")[0].partition("?")[2]


def test_what_stays_is_seen_once(real_installation: Installation) -> None:
    app: Any = real_installation.app
    reader = Client(app).sign_in("ada", "acme")
    staying = {
        reader.post("/nodes", {"title": f"{'abcdef'[number % 6]} staying"}).json["id"] for number in range(STAYING)
    }
    enough = threading.Event()
    writers = [Client(app).sign_in(login, "acme") for login in ("bob", "both")]
    threads = [threading.Thread(target=come_and_go, args=(each, seed, enough)) for seed, each in enumerate(writers)]
    for thread in threads:
        thread.start()
    try:
        walks = {sort: pages(reader, sort) for sort in SORTS}
    finally:
        enough.set()
        for thread in threads:
            thread.join()
    for sort, seen in walks.items():
        assert {row for row in staying if seen[row] != 1} == set(), sort
        assert max(seen.values()) == 1, sort
