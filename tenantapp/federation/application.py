"""Single sign-on in the application: the providers and the DNS that it talks to, and the errors."""

from functools import partial

from pyramid.config import Configurator

from tenantapp.federation import errors
from tenantapp.federation.issuers import Issuers
from tenantapp.federation.lapsed_domains import keep_checking_domains
from tenantapp.federation.txt_records import TxtRecords
from tenantapp.operations.background import Background
from tenantapp.outgoing.addresses import Addresses


def includeme(config: Configurator) -> None:
    """Put ``issuers`` and ``txt_records`` on the registry, and say how errors are answered."""
    settings = config.registry.app_settings
    addresses = Addresses(
        allow_http=settings.single_sign_on_allow_http, allow_private=settings.single_sign_on_allow_private
    )
    config.registry.issuers = Issuers(
        addresses, seconds=settings.single_sign_on_timeout, most=max(1, settings.threads // 2)
    )
    # With those who wait for providers, fewer than all threads.
    config.registry.txt_records = TxtRecords(
        settings.dns_servers, seconds=settings.dns_timeout, most=max(1, settings.threads // 4)
    )
    if settings.fleet_worker:
        config.registry.worker_host.add(Background("domains", partial(keep_checking_domains, config.registry.fleet)))
    config.add_problem(errors.NoIdentityProvider, 404, "not_found")
    config.add_problem(errors.SingleSignOnFailed, 403, "single_sign_on_failed")
    config.add_problem(errors.NoRole, 403, "single_sign_on_no_role")
    config.add_problem(errors.IdentityProviderUnavailable, 503, "identity_provider_unavailable")
    config.add_problem(errors.TooManyConversations, 503, "busy")
    config.add_problem(errors.SingleSignOnUntried, 409, "single_sign_on_untried")
    config.add_problem(errors.SingleSignOnInUse, 409, "single_sign_on_in_use")
    config.add_problem(errors.TooManyProvisioningTokens, 409, "too_many_tokens")
    config.add_problem(errors.DomainNotProved, 409, "domain_not_proved", members=("record", "expected", "found"))
    config.add_problem(errors.DomainTaken, 409, "domain_taken")
    config.add_problem(errors.TooManyDomains, 409, "too_many_domains")
    config.add_problem(errors.DnsUnavailable, 503, "dns_unavailable")
    config.registry.tags["single-sign-on"] = "The identity provider that vouches for a tenant's people."
