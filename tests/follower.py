"""A client that keeps a copy of a tenant's nodes by ``GET /changes``."""

from typing import Any

from tests.installation import Client


class Unavailable(Exception):
    """The tenant is not served at the moment: its database is being exchanged or migrated."""


class Follower:
    """Keeps a copy. ``begun`` counts how often it had to read all of it."""

    def __init__(self, client: Client) -> None:
        self.client, self.begun = client, 0
        self.begin()

    def begin(self) -> None:
        """Read where the log ends, and then all nodes."""
        cursor = self.get("/changes").json["cursor"]
        self.nodes = self.there()
        self.cursor, self.begun = cursor, self.begun + 1

    def follow(self) -> list[Any]:
        """Take over all changes since the last time, and return them. Begin again if they are gone."""
        found: list[Any] = []
        while True:
            page = self.get(f"/changes?limit=3&since={self.cursor}")
            if page.status_int == 410:
                assert page.json["code"] == "changes_gone"
                self.begin()
                return []
            for item in page.json["items"]:
                if item["resource"] == "nodes":
                    self.take(item)
            found += page.json["items"]
            self.cursor = page.json["cursor"]
            if not page.json["more"]:
                return found

    def take(self, item: Any) -> None:
        """Read the node that has changed."""
        answer = self.get(f"/nodes/{item['id']}")
        if answer.status_int == 200:
            self.nodes[item["id"]] = answer.json
        else:
            assert answer.status_int == 404
            self.nodes.pop(item["id"], None)

    def is_exact(self) -> bool:
        """Whether the copy is what the tenant has."""
        return self.nodes == self.there()

    def there(self) -> dict[str, Any]:
        """Return all nodes of the tenant."""
        return {node["id"]: node for node in self.get("/nodes?limit=500").json["items"]}

    def get(self, path: str) -> Any:
        """Return an answer. Raises ``Unavailable`` for 503."""
        answer = self.client.get(path)
        if answer.status_int == 503:
            raise Unavailable
        return answer
