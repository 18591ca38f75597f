"""Fills the database and prints how to ask."""

import json
import os
from pathlib import Path
from typing import Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings")
django.setup()

from customers.models import Client, Domain, Membership  # noqa: E402
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY  # noqa: E402
from django.contrib.auth.models import User  # noqa: E402
from django.contrib.sessions.backends.db import SessionStore  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django_tenants.utils import tenant_context  # noqa: E402
from workspace.models import Node  # noqa: E402


def sign_in(user: User) -> str:
    """A session as ``login()`` makes it."""
    session = SessionStore()
    session[SESSION_KEY] = str(user.pk)
    session[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
    session[HASH_SESSION_KEY] = user.get_session_auth_hash()
    session.save()
    return str(session.session_key)


def add_tenant(slug: str, nodes: list[dict[str, Any]]) -> Client:
    """A tenant with its schema, its domain and its nodes."""
    client = Client.objects.create(schema_name=slug, name=slug.title())
    Domain.objects.create(domain=f"{slug}.localhost", tenant=client, is_primary=True)
    with tenant_context(client):
        Node.objects.bulk_create([Node(**values) for values in nodes])
    return client


def main() -> None:
    """Two people, of whom only the first is a member; and each tenant."""
    call_command("migrate_schemas", schema_name="public", verbosity=0)
    contents = json.loads(Path(os.environ["NODES"]).read_text())
    clients = [add_tenant(slug, nodes) for slug, nodes in contents.items()]
    member, stranger = (User.objects.create_user(name, password=name) for name in ("member", "stranger"))
    Membership.objects.create(client=clients[0], user=member, role="reader")
    host = {"Host": f"{clients[0].schema_name}.localhost"}
    member_headers, stranger_headers = (host | {"Cookie": f"sessionid={sign_in(user)}"} for user in (member, stranger))
    print(json.dumps({"path": "/nodes/", "headers": member_headers, "stranger": stranger_headers}))


main()
