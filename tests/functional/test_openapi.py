"""The OpenAPI document, and how it is served."""

import json
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator
from pyramid.exceptions import ConfigurationError

from tenantapp.api.openapi import check_problems
from tenantapp.api.openapi.headers import GENERAL, OR_NOT, SOMETIMES
from tenantapp.api.openapi.problem_codes import API_CODES
from tests.functional.conftest import Command
from tests.installation import Client, Installation

DOCS = Path(__file__).parents[2] / "docs"
# Headers of HTTP that the page names, and of which the document says nothing.
OF_HTTP = {"Accept-Language", "If-Modified-Since", "If-Unmodified-Since", "Last-Modified", "Sec-Fetch-Site"}
OF_HTTP |= {"Transfer-Encoding", "X-Forwarded-For"}
RESOURCES = {"nodes", "tags", "comments", "attachments"}


@pytest.fixture
def document(shared_on_sqlite: Installation) -> Any:
    """The document of the bundled application."""
    return json.loads(shared_on_sqlite.registry.openapi.json)


def operations(document: Any) -> list[tuple[str, str, Any]]:
    """Path, method and operation."""
    return [(path, method, each) for path, item in document["paths"].items() for method, each in item.items()]


def test_it_is_a_good_document(document: Any) -> None:
    OpenAPIV31SpecValidator(document).validate()


def test_ids_of_operations_are_unique(document: Any) -> None:
    ids = [each["operationId"] for _, _, each in operations(document)]
    assert len(ids) == len(set(ids)) >= 49
    assert {"get_nodes", "patch_node", "post_session", "post_fleet_tenant_clone"} <= set(ids)


def test_every_operation_has_a_summary_and_a_described_tag(document: Any) -> None:
    described = {tag["name"]: tag["description"] for tag in document["tags"]}
    for path, method, each in operations(document):
        assert each["summary"].endswith("."), (path, method)
        assert all(described[tag] for tag in each["tags"]), (path, method)


def test_models_have_names_of_their_own(document: Any) -> None:
    """Two models of one name would get their modules into their names, one for in and out a suffix."""
    for name in document["components"]["schemas"]:
        assert "__" not in name
        assert not name.endswith(("-Input", "-Output"))
    assert "``" not in json.dumps(document)


def test_what_can_be_asked_of_a_node(document: Any) -> None:
    patch = document["paths"]["/api/v1/nodes/{id}"]["patch"]
    assert patch["security"] == [{"cookie": [], "csrf": []}, {"token": []}]
    assert "application/merge-patch+json" in patch["requestBody"]["content"]
    assert {each.get("name") or each["$ref"].rpartition("/")[2] for each in patch["parameters"]} == {
        "id", "XTenant", "IdempotencyKey", "IfMatch", "IfNoneMatch", "XPosition",
    }  # fmt: skip
    assert set(patch["responses"]) == {
        "200", "400", "401", "403", "404", "406", "409", "412", "413", "415", "422", "429", "500", "503",
    }  # fmt: skip
    fields = document["components"]["schemas"]["NodeContentPatch"]["properties"]
    assert fields["title"] == {"maxLength": 200, "type": "string"}
    assert {"type": "null"} in fields["status"]["anyOf"]
    names = {each.get("name") for each in document["paths"]["/api/v1/nodes"]["get"]["parameters"]}
    assert {"limit", "cursor", "status", "owner_id", "parent_id", "tag"} <= names
    assert "304" in document["paths"]["/api/v1/nodes/{id}"]["get"]["responses"]


def test_a_list_may_have_some_members_of_its_rows(document: Any) -> None:
    answer = document["paths"]["/api/v1/nodes"]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    assert [each["$ref"].rpartition("/")[2] for each in answer["anyOf"]] == ["NodePage", "NodeFieldsPage"]
    schemas = document["components"]["schemas"]
    assert schemas["NodeFields"]["properties"] == schemas["Node"]["properties"]
    assert set(schemas["Node"]["required"]) == set(schemas["Node"]["properties"])
    assert "required" not in schemas["NodeFields"]


def test_every_problem_has_its_codes(document: Any) -> None:
    schemas = document["components"]["schemas"]
    for name, response in document["components"]["responses"].items():
        status, *codes = name.split("-")
        assert response["content"]["application/problem+json"]["schema"] == {
            "$ref": f"#/components/schemas/Problem{status}"
        }
        assert response["x-problem-codes"] == codes
        problem, narrowed = schemas[f"Problem{status}"]["allOf"]
        assert problem == {"$ref": "#/components/schemas/Problem"}
        assert set(codes) <= set(narrowed["properties"]["code"]["enum"])
        assert ("Retry-After" in response["headers"]) == (status in ("429", "503"))
        if status == "503":
            component = "Retry-After-Or-Not" if "outcome_unknown" in codes else "Retry-After"
            assert response["headers"]["Retry-After"] == {"$ref": f"#/components/headers/{component}"}
    assert not document["components"]["headers"]["Retry-After-Or-Not"]["required"]
    assert "current" in schemas["Problem412"]["allOf"][1]["properties"]


def test_it_has_every_header_that_the_page_names(document: Any) -> None:
    pages = "".join((DOCS / name).read_text() for name in ("api.md", "limits.md"))
    named = set(re.findall(r"`(X-[\w-]+|[A-Z][a-z]+(?:-[A-Z]\w+)+|ETag|Link|Location|RateLimit(?:-Policy)?)\b", pages))
    parts = document["components"]
    known = {*parts["headers"], *(each["name"] for each in parts["parameters"].values())}
    known |= {parts["securitySchemes"]["csrf"]["name"]}
    assert named - known - GENERAL <= OF_HTTP
    assert {"X-Position", "Link", "Idempotency-Replayed"} <= named & known


def test_what_an_answer_may_have_besides(document: Any) -> None:
    nodes, node = document["paths"]["/api/v1/nodes"], document["paths"]["/api/v1/nodes/{id}"]
    limits = {"RateLimit", "RateLimit-Policy", "X-Request-ID"}
    assert set(nodes["get"]["responses"]["200"]["headers"]) == limits | {"Link", "X-Position"}
    assert set(nodes["post"]["responses"]["201"]["headers"]) == limits | {
        "ETag", "Location", "Idempotency-Replayed", "X-Position",
    }  # fmt: skip
    assert set(node["get"]["responses"]["304"]["headers"]) == limits | {"ETag", "X-Position"}
    session = document["paths"]["/api/v1/session"]["get"]
    assert set(session["responses"]["200"]["headers"]) == limits
    assert not any("XPosition" in each.get("$ref", "") for each in session.get("parameters", ()))
    refused = document["components"]["responses"]["412-version_mismatch"]["headers"]
    assert set(refused) == limits | {"ETag", "X-Position"}
    assert refused["ETag"] == {"$ref": "#/components/headers/ETag-Or-Not"}
    described = document["components"]["headers"]
    assert {name for name, header in described.items() if not header["required"]} == {*SOMETIMES, *OR_NOT.values()}


def test_codes_are_of_one_status(shared_on_sqlite: Installation) -> None:
    problems = shared_on_sqlite.registry.problems
    pairs = {(problem.code, problem.status) for problem in problems._table.values()} | set(API_CODES.items())
    assert len(pairs) == len({code for code, _ in pairs})


def test_a_problem_that_no_error_has_does_not_start(shared_on_sqlite: Installation) -> None:
    registry = shared_on_sqlite.registry
    document = SimpleNamespace(operations=[replace(registry.openapi.operations[0], problems=("mislaid",))])
    app = SimpleNamespace(registry=SimpleNamespace(problems=registry.problems, openapi=document))
    with pytest.raises(ConfigurationError, match=r"declares the problem mislaid, which no error has"):
        check_problems(SimpleNamespace(app=app))


def test_everybody_can_read_it(client: Client, document: Any) -> None:
    answer = client.get("/openapi.json")
    assert (answer.status_int, answer.content_type, answer.json) == (200, "application/json", document)
    assert answer.cache_control.max_age == 300
    assert client.get("/openapi.json", If_None_Match=answer.headers["ETag"]).status_int == 304


def test_a_page_of_the_resources_reads_only_what_describes_them(client: Client, document: Any) -> None:
    part = client.get("/openapi.json?part=resources").json
    assert {tag["name"] for tag in part["tags"]} == RESOURCES
    assert part["tags"] == [tag for tag in document["tags"] if "x-resource" in tag]
    assert set(part["paths"]) == {path for path in document["paths"] if path.split("/")[3] in RESOURCES}
    for path, calls in part["paths"].items():
        for method, call in calls.items():
            whole = document["paths"][path][method]
            answers = {status: each for status, each in whole["responses"].items() if status.startswith("2")}
            assert call == whole | {"responses": answers}
    said = json.dumps(part)
    for kind, name in set(re.findall(r'"#/components/(\w+)/([\w.-]+)"', said)):
        assert part["components"][kind][name] == document["components"][kind][name]
    assert len(said) < len(json.dumps(document)) / 3
    for wrong in ("part=fleet", "part=", "part=resources&part=resources"):
        assert client.get(f"/openapi.json?{wrong}").json["code"] == "invalid_query"


def test_the_command_prints_it_without_a_database(ini: Any, run: Command, document: Any) -> None:
    result = run("openapi")
    assert (result.status, result.err) == (0, "")
    assert result.json == document
    assert run("openapi", "--output", str(ini.parent / "api.json")).out == ""
    assert (ini.parent / "api.json").read_text() == result.out
    assert [path.name for path in ini.parent.iterdir() if path.suffix == ".sqlite"] == []
