"""Each key in the detail of an entry of the audit trail is known to name a person, or not to."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tenantapp.identity.audit import NAMING

ROOT = Path(__file__).parents[2] / "tenantapp"
CALLS = re.compile(r"\b(_?record\w*|request_operation|described)\(")
WRITES = re.compile(r"_?record(_grant|_start|_end)?|request_operation")
NO_DETAIL = {"tenant_id", "slug", "detail", "by", "person", "operation_id", "all_of_them"}  # other parameters of these
# What stands under these keys names nobody. It stays in the trail when somebody is forgotten.
# fmt: off
NAMELESS = {
    "active", "after", "answer", "api_tokens", "arguments", "backup", "before", "chains", "changed", "connection_quota",
    "copy", "database", "days", "default_role", "delivery", "domain", "entries", "error", "event", "expired",
    "expires_at", "export", "extensions", "factor", "factor_values", "factors", "failed", "failing_since", "failures",
    "file", "files", "grants", "group", "hook", "id", "impersonation_forbidden", "initial", "invitation", "issuer",
    "job", "keep_days", "key", "kind", "left", "lost", "mailed", "mark", "operation", "operations",
    "operations_cancelled", "operator", "original", "passkey", "passwords", "permission", "permissions", "person",
    "problem", "purge_after", "read_only", "record", "rehearsal", "removed", "resources", "revision", "role", "roles",
    "rows", "second_factor_required", "secret", "server", "service_accounts", "session", "sessions", "source",
    "source_slug", "state", "statement", "storage_quota", "template", "tenant", "tenants", "text", "to", "token",
    "tokens", "url", "web_sessions", "webhook", "without_people",
}
# fmt: on


def keys() -> Iterator[str]:
    """The keys in functions that write an entry, or request an operation, whose arguments are in its entry."""
    for module in ROOT.rglob("*.py"):
        text = module.read_text()
        for function in ast.walk(ast.parse(text)) if CALLS.search(text) else ():
            if isinstance(function, ast.FunctionDef):
                yield from keys_in(function)


def keys_in(function: ast.FunctionDef) -> Iterator[str]:
    calls = [each for each in ast.walk(function) if isinstance(each, ast.Call)]
    writing = [call for call in calls if WRITES.fullmatch(ast.unparse(call.func).rpartition(".")[2])]
    yield from (word.arg for call in writing for word in call.keywords if word.arg)
    if writing or function.name == "described":
        dicts = [each for each in ast.walk(function) if isinstance(each, ast.Dict)]
        named = [key.value for each in dicts for key in each.keys if isinstance(key, ast.Constant)]
        yield from (name for name in named if isinstance(name, str))


def test_of_each_key_it_is_known_whether_it_names_a_person() -> None:
    found = set(keys()) - NO_DETAIL
    assert {"login", "user", "administrator", "address", "subject", "reason", "name", "server"} <= found
    unknown = found - NAMING.keys() - NAMELESS
    assert unknown == set(), "put a key that names a person into NAMING, and another one into NAMELESS"
    assert not NAMING.keys() & NAMELESS
