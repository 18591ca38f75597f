"""The audit trail: who did what, and nothing that was not done."""

import inspect
import pkgutil
import re
from collections.abc import Callable
from dataclasses import FrozenInstanceError
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy.orm import Session

from tenantapp import identity
from tenantapp.fleet.creating.create import request_create
from tenantapp.fleet.kinds import KINDS
from tenantapp.fleet.removing.deletion import delete_later, request_purge, undelete
from tenantapp.identity import (
    administrators,
    api_tokens,
    grants,
    groups,
    members,
    roles,
    service_accounts,
    tenants,
    users,
)
from tenantapp.identity.audit import list_entries, local_requester, record
from tenantapp.identity.declared_rights import DeclaredRights, DeclaredRole, apply_declared
from tenantapp.identity.errors import AlreadyExists, TenantDeleted
from tenantapp.identity.models import ApiToken, Grant, User
from tenantapp.identity.tenants import get_tenant, rename_tenant, resume_tenant, suspend_tenant
from tenantapp.operations.queue import cancel_operation, retry_operation
from tenantapp.sql.times import utcnow
from tenantapp.tenancy.access import ACTOR, NOBODY, Actor, TenantPlace
from tests.functional.conftest import Command
from tests.installation import Installation

LEFT = {"create.request", "member.grant", "user.create", "user.disable", "group.create", "group.join"}


def told(installation: Installation, **wanted: Any) -> list[tuple[str, str, str | None]]:
    """The entries, oldest first, less what the making of the installation has left."""
    with installation.registry.user_db.begin(read_only=True) as session:
        entries = reversed(list_entries(session, **wanted))
        return [(each.actor, each.action, each.slug) for each in entries if each.action not in LEFT]


def act(installation: Installation, *deeds: Callable[[Session], Any]) -> None:
    with installation.registry.user_db.begin() as session:
        for deed in deeds:
            deed(session)


def test_the_session_says_in_whose_name_it_writes(installation: Installation) -> None:
    """By plain values that nobody changes; a whole request would be kept with them."""
    ada = Actor("ada", UUID(int=7), "request-7", "192.0.2.7")
    stranger = Actor(NOBODY, request_id="request-8", address="x" * 500)
    with pytest.raises(FrozenInstanceError):
        ada.name = "bob"  # type: ignore[misc]
    for actor, by in ((ada, None), (ada, "local:worker"), (stranger, None), (stranger, "local:worker")):
        with installation.registry.user_db.begin() as session:
            session.info[ACTOR] = actor
            record(session, "test.done", by=by)
    with installation.registry.user_db.begin(read_only=True) as session:
        found = list_entries(session, action="test.done")
        assert [each.actor for each in reversed(found)] == ["ada", "ada", NOBODY, "local:worker"]
        assert (found[-1].actor_id, found[-1].request_id, found[-1].address) == (ada.id, ada.request_id, ada.address)
        assert found[0].actor_id is None
        assert set(found[0].address or "") == {"x"}


def test_services_write_entries(installation: Installation) -> None:
    act(
        installation,
        lambda session: suspend_tenant(session, "acme", " unpaid "),
        lambda session: rename_tenant(session, "acme", "apex", name="Apex"),
        lambda session: resume_tenant(session, "apex"),
        lambda session: resume_tenant(session, "apex"),  # nothing happens, and nothing is told
        lambda session: delete_later(session, "apex", timedelta(days=7)),
        lambda session: undelete(session, "apex", KINDS),
    )
    me = local_requester()
    assert me.startswith("local:")
    assert told(installation) == [
        (me, "tenant.suspend", "acme"),
        (me, "tenant.rename", "apex"),
        (me, "tenant.resume", "apex"),
        (me, "tenant.delete", "apex"),
        (me, "tenant.undelete", "apex"),
    ]
    with installation.registry.user_db.begin(read_only=True) as session:
        apex = get_tenant(session, "apex").id
        undeleted, deleted, resumed, renamed, suspended = list_entries(session, slug="apex")[:5]
        assert suspended.detail == {"reason": "unpaid"}
        assert renamed.detail == {"before": {"slug": "acme", "name": "Acme"}, "after": {"slug": "apex", "name": "Apex"}}
        assert deleted.detail["purge_after"].endswith("+00:00")
        assert (resumed.detail, undeleted.detail) == ({}, {})
        assert {each.tenant_id for each in (undeleted, deleted, resumed, renamed, suspended)} == {apex}
        assert (suspended.actor_id, suspended.request_id, suspended.address) == (None, None, None)


TELLER = DeclaredRights(
    roles={"teller": DeclaredRole("teller", after="author")}, held={("teller", "content.read"): None}
)
# What changes somebody's rights, in this order, and the entries that it writes. The second time changes nothing.
RIGHTS: tuple[tuple[Any, Callable[[Session], Any], list[str]], ...] = (
    (users.create_user, lambda s: users.create_user(s, "olga", operator=True), ["user.create"]),
    (users.set_password, lambda s: users.set_password(s, "olga", "hash"), ["password.set"]),
    (groups.create_group, lambda s: groups.create_group(s, "tellers"), ["group.create"]),
    (grants.add_grant, lambda s: grants.add_grant(s, acme(s), "reader", group="tellers"), ["member.grant"]),
    (grants.remove_grant, lambda s: grants.remove_grant(s, tellers(s)), ["member.revoke"]),
    (grants.add_grant, lambda s: grants.add_grant(s, acme(s), "author", group="tellers"), ["member.grant"]),
    (members.change_role, lambda s: members.change_role(s, acme(s), tellers(s).id, "editor"), ["member.change"]),
    (members.change_role, lambda s: members.change_role(s, acme(s), tellers(s).id, "editor"), []),
    (members.revoke, lambda s: members.revoke(s, acme(s), tellers(s).id), ["member.revoke"]),
    (groups.join_group, lambda s: groups.join_group(s, "olga", "tellers"), ["group.join"]),
    (groups.join_group, lambda s: groups.join_group(s, "olga", "tellers"), []),
    (groups.leave_group, lambda s: groups.leave_group(s, "olga", "tellers"), ["group.leave"]),
    (groups.leave_group, lambda s: groups.leave_group(s, "olga", "tellers"), []),
    (roles.allow, lambda s: roles.allow(s, "reader", "content.create", known={"content.create"}), ["role.allow"]),
    (roles.allow, lambda s: roles.allow(s, "reader", "content.create", known={"content.create"}), []),
    (roles.deny, lambda s: roles.deny(s, "reader", "content.create"), ["role.deny"]),
    (roles.deny, lambda s: roles.deny(s, "reader", "content.create"), []),
    (roles.add_role, lambda s: roles.add_role(s, "clerk", after="author"), ["role.add"]),
    (apply_declared, lambda s: apply_declared(s, TELLER), ["role.add", "role.allow"]),
    (apply_declared, lambda s: apply_declared(s, TELLER), []),
    (roles.remove_role, lambda s: roles.remove_role(s, "clerk"), ["role.remove"]),
    (users.set_enabled, lambda s: users.set_enabled(s, "olga", False), ["user.disable"]),
    (users.set_enabled, lambda s: users.set_enabled(s, "olga", False), []),
    (users.set_enabled, lambda s: users.set_enabled(s, "olga", True), ["user.enable"]),
    (
        service_accounts.create_service_account,
        lambda s: service_accounts.create_service_account(s, place(s), "robot", ["reader"], most=9),
        ["service_account.create", "member.grant"],
    ),
    (api_tokens.create_token, lambda s: make_token(s), ["token.create"]),
    (api_tokens.revoke_token, lambda s: api_tokens.revoke_token(s, make_token(s).id), ["token.create", "token.revoke"]),
    (
        service_accounts.remove_service_account,
        lambda s: service_accounts.remove_service_account(s, place(s), robot(s).id),
        ["service_account.remove"],
    ),
    (tenants.suspend_tenant, lambda s: tenants.suspend_tenant(s, "acme", "unpaid"), ["tenant.suspend"]),
    (tenants.resume_tenant, lambda s: tenants.resume_tenant(s, "acme"), ["tenant.resume"]),
    (tenants.delete_tenant, lambda s: tenants.delete_tenant(s, "acme", utcnow()), ["tenant.delete"]),
    (tenants.undelete_tenant, lambda s: tenants.undelete_tenant(s, "acme"), ["tenant.undelete"]),
    (
        tenants.require_second_factor,
        lambda s: tenants.require_second_factor(s, acme(s), True),
        ["settings.change"],
    ),
    (users.set_enabled, lambda s: users.set_enabled(s, "ada", False), ["user.disable"]),
    (administrators.appoint, lambda s: administrators.appoint(s, "acme", "ed"), ["member.appoint"]),
    (
        administrators.name_administrator,
        lambda s: administrators.name_administrator(s, acme(s), "rita"),
        ["member.appoint"],
    ),
)
# What writes, and leaves everybody's rights as they are.
OTHERS = {
    *("audit.record", "grants.record_grant", "uniqueness.flush_unique", "members.keeping_admins"),
    *("api_tokens.sweep_tokens", "tenants.register_tenant", "tenants.rename_tenant", "tenants.renew_epochs"),
    "tenants.change_expiry",
    # Who signs in or out has the same rights.
    *(
        "users.add_skeletons",
        "users.end_sessions",
        "web_sessions.end",
        "web_sessions.end_by_id",
        "web_sessions.end_one",
        "web_sessions.end_pending",
    ),
    *("web_sessions.end_others", "web_sessions.start", "web_sessions.sweep", "web_sessions.switch"),
    *("roles.permits", "roles.holds_admin", "roles.require_admin"),
    *("web_sessions.add_factor", "web_sessions.authenticated_again"),
    # Of these, the callers in credentials name the action; the tests of accounts are about them.
    *("users.store_password", "users.rename_user"),
    # The tests of impersonation are about these.
    *("impersonations.start", "impersonations.end", "impersonations.forbid", "web_sessions.end_impersonations"),
    "tenants.locked_tenant",
    *("storage_quotas.set_storage_quota", "storage_quotas.tenants_to_measure"),
    "connection_quotas.set_connection_quota",
    *("storage_quotas.note_storage", "storage_quotas.count_filled", "administrators.ids_administrated"),
}
READING = re.compile(
    r"(check|list|get|find|has|describe|known|served|effective|local)_|tenants_of|roles_of|names_of|places_with|member_with"
)


def acme(session: Session) -> UUID:
    return get_tenant(session, "acme").id


def place(session: Session) -> TenantPlace:
    return tenants.place_of(get_tenant(session, "acme"))


def tellers(session: Session) -> Grant:
    (grant,) = grants.find_grants(session, acme(session), group="tellers")
    return grant


def robot(session: Session) -> User:
    return service_accounts.list_service_accounts(session, acme(session))[0]


def make_token(session: Session) -> ApiToken:
    limits = api_tokens.TokenLimits(days=1, number=9)
    given: Any = {"name": "x", "permissions": ["content.read"], "days": 1, "limits": limits}
    return api_tokens.create_token(session, place(session), robot(session), ["content.read"], **given)[0]


def test_every_change_of_rights_is_in_the_audit_trail(installation: Installation) -> None:
    for service, deed, expected in RIGHTS:
        with installation.registry.user_db.begin() as session:
            known = {entry.id for entry in list_entries(session)}
            deed(session)
            session.flush()
            made = [entry for entry in list_entries(session) if entry.id not in known]
            assert [entry.action for entry in reversed(made)] == expected, service
            if expected == ["service_account.remove"]:
                assert (made[0].detail["roles"], made[0].detail["tokens"]) == (["reader"], 1)


def test_no_service_that_changes_rights_is_forgotten() -> None:
    """A new one is to be added to the list above."""
    listed = {f"{service.__module__.rpartition('.')[2]}.{service.__name__}" for service, _, _ in RIGHTS}
    assert {name for name in services() if not READING.match(name.partition(".")[2])} == listed | OTHERS


def services() -> set[str]:
    """The public functions of the room that take a session."""
    found = set()
    for module in pkgutil.iter_modules(identity.__path__):
        for name, function in vars(import_module(f"{identity.__name__}.{module.name}")).items():
            own = getattr(function, "__module__", "").endswith(f"identity.{module.name}")
            if own and inspect.isfunction(function) and not name.startswith("_"):
                first = next(iter(inspect.signature(function).parameters.values()), None)
                if first is not None and first.annotation in (Session, "Session"):
                    found.add(f"{module.name}.{name}")
    return found


def test_an_entry_is_found_by_either_slug(installation: Installation) -> None:
    act(
        installation,
        lambda session: suspend_tenant(session, "acme", "unpaid"),
        lambda session: rename_tenant(session, "acme", "apex"),
        lambda session: suspend_tenant(session, "globex", "unpaid"),
    )
    assert [action for _, action, _ in told(installation, slug="apex")] == ["tenant.suspend", "tenant.rename"]
    assert [action for _, action, _ in told(installation, slug="acme")] == ["tenant.suspend"]
    assert [slug for _, _, slug in told(installation, action="tenant.suspend")] == ["acme", "globex"]
    assert told(installation, actor="ada") == []
    with installation.registry.user_db.begin(read_only=True) as session:
        newest, next_one = list_entries(session, limit=2)
        assert [each.id for each in list_entries(session, before=newest.id, limit=1)] == [next_one.id]


def test_what_is_rolled_back_was_not_done(installation: Installation) -> None:
    before = told(installation)
    with pytest.raises(ZeroDivisionError):
        act(installation, lambda session: suspend_tenant(session, "acme", "unpaid"), lambda session: 1 / 0)
    with pytest.raises(AlreadyExists):
        act(installation, lambda session: rename_tenant(session, "acme", "globex"))
    act(installation, lambda session: delete_later(session, "globex", timedelta(days=7)))
    with pytest.raises(TenantDeleted):
        act(installation, lambda session: suspend_tenant(session, "globex", "unpaid"))
    assert [action for _, action, _ in told(installation)[len(before) :]] == ["tenant.delete"]


def test_operations_write_entries(installation: Installation) -> None:
    fleet = installation.registry.fleet
    with installation.registry.user_db.begin() as session:
        made = request_create(session, fleet, "initech", requested_by="ada")
        cancel_operation(session, made.id, KINDS)
        retry_operation(session, made.id, KINDS)
        entries = list_entries(session, slug="initech")
        assert [(each.action, each.actor) for each in entries] == [
            ("operation.retry", local_requester()),
            ("operation.cancel", local_requester()),
            ("create.request", "ada"),
        ]
        assert {each.detail["operation"] for each in entries} == {str(made.id)}
        assert entries[-1].detail["arguments"]["slug"] == "initech"
    with pytest.raises(AlreadyExists):
        act(installation, lambda session: request_create(session, fleet, "acme", requested_by="ada"))
    with installation.registry.user_db.begin(read_only=True) as session:
        assert len(list_entries(session, actor="ada")) == 1


def test_entries_outlive_the_tenant(installation: Installation) -> None:
    act(
        installation,
        lambda session: delete_later(session, "acme", timedelta(0)),
        lambda session: request_purge(session, installation.registry.fleet, "acme", requested_by="ada", copy=False),
        lambda session: session.delete(get_tenant(session, "acme")),
    )
    assert [action for _, action, _ in told(installation, slug="acme")] == ["tenant.delete", "delete.request"]
    with installation.registry.user_db.begin(read_only=True) as session:
        (requested,) = list_entries(session, action="delete.request")
        assert requested.detail["arguments"]["copy"] is False


def test_commands(done: Command, ini: Path) -> None:
    done("tenants", "create", "acme", "--name", "Acme [b]")
    done("tenants", "suspend", "acme", "--reason", 'unpaid [since] "May"')
    done("tenants", "resume", "acme")
    done("tenants", "rename", "acme", "apex")
    done("tenants", "delete", "apex")
    done("tenants", "undelete", "apex")
    done("tenants", "create", "globex")
    items = done("fleet", "audit", "--tenant", "apex", "--json").json["items"]
    actions = ["undelete", "delete", "rename", "resume", "suspend"]
    assert [item["action"] for item in items] == [*(f"tenant.{action}" for action in actions), "create.request"]
    assert {item["actor"] for item in items} == {local_requester()}
    lines = done("fleet", "audit", "--tenant", "apex").out.splitlines()
    assert len(lines) == len(items)
    assert lines[4].endswith('  reason="unpaid [since] \\"May\\""')
    assert "operation=" in lines[-1]
    assert ' arguments={"' in lines[-1]
    (shown,) = done("fleet", "audit", "--limit", "1").out.splitlines()
    assert shown.split()[2:5] == [local_requester(), "create.request", "globex"]
    assert "audit" not in done("sweep").out
    with ini.open("a") as file:
        file.write("audit.keep = 30\n")
    assert "0 old entries of the audit trail deleted." in done("sweep").out
    assert len(done("fleet", "audit", "--json").json["items"]) == 9  # with the beginnings of two chains
