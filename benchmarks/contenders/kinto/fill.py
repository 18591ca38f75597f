"""Fills Kinto over its own API, in this process, and prints how to ask: a bucket for each tenant."""

import base64
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from pyramid.paster import get_app
from pyramid.request import Request

INI = str(Path(__file__).with_name("kinto.ini"))
BATCH = 25  # Kinto's own limit


def authorization(account: str) -> dict[str, str]:
    """An account's credentials; its password is its name."""
    return {"Authorization": f"Basic {base64.b64encode(f'{account}:{account}'.encode()).decode()}"}


def call(app: Any, method: str, path: str, body: dict[str, Any], account: str | None = "admin") -> None:
    """Send a request and insist on its success."""
    headers = {"Content-Type": "application/json"} | (authorization(account) if account else {})
    request = Request.blank(f"/v1{path}", method=method, body=json.dumps(body).encode(), headers=headers)
    answer = request.get_response(app)
    if answer.status_int >= 400:
        raise SystemExit(f"{method} {path}: {answer.text}")


def add_tenant(app: Any, slug: str, nodes: list[dict[str, Any]], readers: list[str]) -> None:
    """A bucket with a collection of nodes that these may read."""
    collection = f"/buckets/{slug}/collections/nodes"
    call(app, "PUT", f"/buckets/{slug}", {})
    call(app, "PUT", collection, {"permissions": {"read": readers}})
    for start in range(0, len(nodes), BATCH):
        requests = [
            {"method": "PUT", "path": f"/v1{collection}/records/{node['id']}", "body": {"data": node}}
            for node in nodes[start : start + BATCH]
        ]
        call(app, "POST", "/batch", {"requests": requests})


def main() -> None:
    """Three accounts, of whom one may read the first tenant; and each tenant."""
    kinto = str(Path(sys.executable).with_name("kinto"))
    subprocess.run([kinto, "migrate", "--ini", INI, "-q"], check=True)
    app = get_app(INI, options={"http_port": "0"})
    for account in ("admin", "member", "stranger"):
        call(app, "PUT", f"/accounts/{account}", {"data": {"password": account}}, None)
    contents = json.loads(Path(os.environ["NODES"]).read_text())
    for number, (slug, nodes) in enumerate(contents.items()):
        add_tenant(app, slug, nodes, [] if number else ["account:member"])
    path = f"/v1/buckets/{next(iter(contents))}/collections/nodes/records?_limit=50&_sort=id"
    print(json.dumps({"path": path, "headers": authorization("member"), "stranger": authorization("stranger")}))


main()
