"""Add identity to the application: the security policy, and the guards of the views."""

from pyramid.config import Configurator
from pyramid.viewderivers import INGRESS

from tenantapp.identity.access_reader import AccessReader
from tenantapp.identity.cross_site import cross_site_view, permission_required_view
from tenantapp.identity.freshness import fresh_view
from tenantapp.identity.impersonation_guard import impersonation_view
from tenantapp.identity.policy import SecurityPolicy, reads_tenants_view
from tenantapp.identity.web_sessions import lifetimes_of
from tenantapp.settings import Settings
from tenantapp.tenancy.user_database import user_database


def includeme(config: Configurator) -> None:
    """Install the security policy, put ``access_reader`` and ``lifetimes`` on the registry, and guard the views.

    Each of ``access_observers`` is called with a request and its access, before anything else uses the access. What it
    raises becomes the answer.
    """
    settings: Settings = config.registry.app_settings
    config.include("tenantapp.identity.declared_rights")
    lifetimes = lifetimes_of(settings)
    reader = AccessReader(
        user_database(
            settings.user_db_url,
            pgbouncer=settings.user_db_pgbouncer,
            autocommit=True,
            pool_timeout=settings.connections_timeout,
            probe_pause=settings.connections_probe,
        ),
        lifetimes.idle,
    )
    config.registry.access_reader = reader
    config.registry.access_observers = []
    config.registry.lifetimes = lifetimes
    config.registry.security_policy = SecurityPolicy()
    config.set_security_policy(config.registry.security_policy)
    config.add_view_deriver(permission_required_view, under=INGRESS, name="permission_required")
    # Outside the permission check, which reads the access.
    config.add_view_deriver(reads_tenants_view, under="permission_required", over="secured_view", name="reads_tenants")
    config.add_view_deriver(cross_site_view, under="secured_view", name="cross_site")
    config.add_view_deriver(impersonation_view, under="cross_site", name="impersonation")
    config.add_view_deriver(fresh_view, under="impersonation", name="fresh")
