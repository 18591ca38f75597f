"""The work of ``demo``: two tenants, to try tenantapp."""

from typing import Any
from urllib.parse import unquote

import click

from tenantapp.cli import demo_data
from tenantapp.cli.failures import CommandFailed
from tenantapp.cli.installation import Installation
from tenantapp.cli.output import show_rows
from tenantapp.credentials.password_rules import hash_new_password
from tenantapp.fleet.creating.create import create_tenant
from tenantapp.fleet.creating.unfinished import finish_or_discard
from tenantapp.fleet.kinds import KINDS
from tenantapp.fleet.querying.parallel import databases_of_our_own
from tenantapp.identity import grants, groups, tenants, users
from tenantapp.identity.errors import NotFound
from tenantapp.identity.local_access import local_access
from tenantapp.identity.models import TenantState
from tenantapp.identity.tenants import place_of
from tenantapp.operations.fleet import Fleet
from tenantapp.settings import BUNDLED_DOMAIN
from tenantapp.tenancy.dbfactory import DBFactory


def make(installation: Installation, http_port: str | None) -> None:
    """Make what is missing of the demo, and print how to sign in. Raises ``CommandFailed`` if it is not allowed."""
    if not installation.settings.demo_enabled:
        raise CommandFailed("The demo is refused: the setting demo.enabled is not true")
    fleet = installation.fleet
    _add_people(fleet.user_db, installation.settings.passwords_memory)
    for slug, name in demo_data.TENANTS.items():
        _add_tenant(fleet, slug, name)
    _add_grants(fleet.user_db)
    if installation.settings.tenantapp_domain == BUNDLED_DOMAIN:
        for slug in demo_data.TENANTS:
            _add_nodes(fleet, slug)
    _say_where_to_go(f"http://localhost:{http_port or installation.http_port or 6543}/")
    mail_url = installation.settings.mail_url
    if mail_url is not None and mail_url.scheme == "file":
        click.echo(f"Mail is not sent, but written to {unquote(mail_url.path)}")


def _add_people(user_db: DBFactory, memory: int) -> None:
    with user_db.begin(read_only=True) as session:
        present = {user.login for user in users.list_users(session)}
        groups_present = {group.name for group in groups.list_groups(session)}
    # Hashed before the transaction, and only for missing people, because hashing is slow on purpose.
    missing = {
        person.login: (person, hash_new_password(demo_data.PASSWORD, [person.login, person.name], memory=memory))
        for person in demo_data.PEOPLE
        if person.login not in present
    }
    with user_db.begin() as session:
        for login, (person, password_hash) in missing.items():
            users.create_user(session, login, name=person.name, password_hash=password_hash, operator=person.operator)
        for group, logins in demo_data.GROUPS.items():
            if group not in groups_present:
                groups.create_group(session, group)
                for login in logins:
                    groups.join_group(session, login, group)


def _add_tenant(fleet: Fleet, slug: str, name: str) -> None:
    with fleet.user_db.begin(read_only=True) as session:
        found = {tenant.slug: (tenant.state, place_of(tenant)) for tenant in tenants.list_tenants(session)}
    state, place = found.get(slug, (None, None))
    if place is not None and state == TenantState.CREATING:
        # An earlier `demo` was killed, and could not undo what it had begun.
        state = finish_or_discard(fleet, KINDS, place)
    if state is None:
        create_tenant(fleet, slug, name=name)


def _add_grants(user_db: DBFactory) -> None:
    with user_db.begin() as session:
        for slug, role, grantee in demo_data.GRANTS:
            tenant_id = tenants.get_tenant(session, slug).id
            try:
                grants.find_grants(session, tenant_id, **grantee)
            except NotFound:
                grants.add_grant(session, tenant_id, role, **grantee)


def _add_nodes(fleet: Fleet, slug: str) -> None:
    """Add the nodes in one transaction, so that a tenant has all of them or none."""
    # Imported here: with its models, the tables of the bundled domain would get into the revisions of other domains.
    from tenantapp.resources import create_row, find_rows
    from tenantapp.workspace.comments import comments
    from tenantapp.workspace.content import CommentContent, NodeContent
    from tenantapp.workspace.nodes import nodes

    with fleet.user_db.begin(read_only=True) as session:
        accesses = {login: local_access(session, slug, login=login) for login in demo_data.writers(slug)}
        anybody = local_access(session, slug)
    with databases_of_our_own(fleet.servers, 1) as databases, databases.begin(anybody) as session:
        if find_rows(nodes, session, {}):
            return
        ids: dict[str | None, Any] = {None: None}
        for node in demo_data.NODES[slug]:
            content = NodeContent(
                title=node.title, body=node.body, status=node.status, parent_id=ids[node.parent], tags=list(node.tags)
            )
            node_id = ids[node.title] = create_row(nodes, session, accesses[node.owner], content).id
            for login, text in node.comments:
                create_row(comments, session, accesses[login], CommentContent(node_id=node_id, text=text))


def _say_where_to_go(url: str) -> None:
    rows = [
        {"login": person.login, "password": demo_data.PASSWORD, "is": person.description} for person in demo_data.PEOPLE
    ]
    click.echo(f"The demo is ready: {url}\nSign in as:")
    show_rows(rows, ("login", "password", "is"), as_json=False)
    body = f'{{"login": "ada", "password": "{demo_data.PASSWORD}", "tenant": "acme"}}'
    click.echo(f"curl -i -H 'Content-Type: application/json' -d '{body}' {url}api/v1/session")
