"""How does a person manage sessions and API tokens, and an administrator the members of a tenant, over HTTP?"""

from pyramid.config import Configurator

from tenantapp.api import PREFIX


def includeme(config: Configurator) -> None:
    """Add the views of sessions, registration, members, tokens and service accounts under ``/api/v1``."""
    for module in (
        "session_views",
        "reauthentication_views",
        "factor_views",
        "account_views",
        "link_views",
        "registration_views",
        "member_views",
        "invitation_views",
        "people_views",
        "token_views",
        "service_account_views",
        "tenant_settings_views",
        "single_sign_on_views",
        "identity_provider_views",
        "impersonation_views",
        "provisioning_token_views",
        "domain_views",
    ):
        config.include(f"tenantapp.account.{module}", route_prefix=PREFIX)
        config.scan(f"tenantapp.account.{module}")
    config.include("tenantapp.account.single_sign_on_views.add_browser_routes")
    config.include("tenantapp.account.scim_views")
    config.scan("tenantapp.account.scim_views")
