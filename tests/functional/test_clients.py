"""The document is good enough for others' tools: it passes their lint, and they make clients of it that work."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.installation import Installation, sqlite_installation
from tests.node import CLIENTS, node_packages, program, run_node
from tests.programs import needed
from tests.transactions.server import serving

PAGE = Path(__file__).parents[2] / "docs" / "clients.md"
# Node wants the names of files in imports.
TYPESCRIPT = {"input": "openapi.json", "output": {"path": "client", "module": {"extension": ".js"}}}
CONVERSATION = """
import json
import sys

import page
from page import Client, NodeContentPatch, all_nodes, get_node, patch_node, publish, sign_in
from tenantapp_client import AuthenticatedClient
from tenantapp_client.api.account import post_tokens
from tenantapp_client.api.nodes import delete_node, post_nodes
from tenantapp_client.models import NewToken, NodeContent

client = Client(base_url=sys.argv[1])
sign_in(client, "ada", "correct horse battery", "acme")
ids = [post_nodes.sync(client=client, body=NodeContent(title=f"Node {number}")).id for number in range(120)]
titles = [node.title for node in all_nodes(client)]
read = get_node.sync_detailed


def read_and_lose(node_id, *, client):
    page.get_node.sync_detailed = read
    found = read(node_id, client=client)
    patch_node.sync(node_id, client=client, body=NodeContentPatch(title="Changed meanwhile"))
    return found


page.get_node.sync_detailed = read_and_lose
node = publish(client, ids[0])
token = post_tokens.sync(client=client, body=NewToken(name="program", permissions=["content.read"])).token
with_token = AuthenticatedClient(base_url=sys.argv[1], token=token)
assert len(list(all_nodes(with_token))) == len(titles)
copy = {}
cursor = page.follow(client, copy)
copy |= {node.id: node for node in all_nodes(client)}
patch_node.sync(ids[1], client=client, body=NodeContentPatch(title="Seen"))
delete_node.sync_detailed(ids[2], client=client)
page.follow(client, copy, cursor)
assert copy == {node.id: node for node in all_nodes(client)}
print(json.dumps({"titles": titles, "title": node.title, "status": node.status}))
"""
TSC = ("--strict", "--skipLibCheck", "--target", "es2022", "--module", "nodenext", "--lib", "es2022,dom,dom.iterable")


@pytest.fixture(scope="module")
def document(shared_on_sqlite: Installation, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The document of the bundled application, in a directory of its own."""
    path = tmp_path_factory.mktemp("document") / "openapi.json"
    path.write_bytes(shared_on_sqlite.registry.openapi.json)
    return path


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """Where the application is served. On one engine: it is the clients that are tested. Changes are committed."""
    with sqlite_installation(tmp_path) as installation, serving(installation.app) as (host, port):
        yield f"http://{host}:{port}"


def test_redocly_finds_nothing_in_it(document: Path) -> None:
    packages = needed(node_packages)
    rules = ("--config", CLIENTS / "redocly.yaml", "--format", "json")
    report = run_node(program(packages, "redocly"), "lint", document, *rules, cwd=document.parent)
    assert '"errors": 0,' in report
    assert '"warnings": 0,' in report


def code_on_the_page(language: str) -> str:
    """The functions in a language on the page for client developers."""
    blocks = re.findall(rf"^```{language}\n(.*?)^```", PAGE.read_text(), re.M | re.S)
    return "\n\n".join(block for block in blocks if "function " in block or "def " in block)


def test_a_typescript_client_works_as_the_page_shows(document: Path, address: str) -> None:
    packages = needed(node_packages)
    directory = document.parent
    (directory / "openapi-ts.config.mjs").write_text(f"export default {json.dumps(TYPESCRIPT)};")
    (directory / "page.ts").write_text(code_on_the_page("ts"))
    (directory / "package.json").write_text('{"type": "module"}')
    shutil.copy(CLIENTS / "conversation.ts", directory)
    run_node(program(packages, "openapi-ts"), "--file", "openapi-ts.config.mjs", cwd=directory)
    run_node(program(packages, "tsc"), *TSC, "conversation.ts", cwd=directory)
    printed = json.loads(run_node("conversation.js", address, cwd=directory))
    assert printed["titles"] == [f"Node {number}" for number in range(120)]
    assert printed["conflicts"] == 1
    assert (printed["added"], printed["last"]) == (201, "By a program")
    assert printed["followed"] is True
    assert (printed["title"], printed["status"]) == ("Changed meanwhile", "published")


def test_a_python_client_works_as_the_page_shows(document: Path, address: str) -> None:
    directory = document.parent
    generate = ["openapi-python-client", "generate", "--path", str(document), "--meta", "none"]
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    package = directory / "tenantapp_client"
    made = subprocess.run(
        [*generate, "--output-path", str(package)], env=environment, capture_output=True, text=True, check=True
    )
    assert "Warning" not in made.stdout + made.stderr
    (directory / "page.py").write_text(code_on_the_page("python"))
    (directory / "conversation.py").write_text(CONVERSATION)
    run = [sys.executable, "conversation.py", address]
    printed = json.loads(subprocess.run(run, cwd=directory, capture_output=True, text=True, check=True).stdout)
    assert printed == {
        "titles": [f"Node {number}" for number in range(120)],
        "title": "Changed meanwhile",
        "status": "published",
    }
