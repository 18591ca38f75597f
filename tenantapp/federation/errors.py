"""The errors of this package.

FederationError
+-- NoIdentityProvider           the tenant has none, or there is no such tenant
+-- SingleSignOnFailed           the provider, or the browser, did not send what it should
|   +-- AccountDisabled          not the directory has disabled the account, or it is about to go
+-- NoRole                       the provider vouches for a person whom the tenant gives no role
+-- IdentityProviderUnavailable  the provider does not answer, or not as it should
+-- TooManyConversations         every thread that may wait for providers, or for the DNS, waits for one
+-- SingleSignOnUntried          who requires single sign-on has to be signed in by it
+-- SingleSignOnInUse            the provider cannot be exchanged or removed while it is required
+-- RequestRefused               SCIM has an answer of its own to what a directory asks
+-- TooManyProvisioningTokens    the provider has as many tokens as it may have
+-- DomainNotProved              the DNS does not have the record of a domain
+-- DomainTaken                  the domain is verified for another tenant
+-- TooManyDomains               the tenant has claimed as many domains as it may
+-- DnsUnavailable               the DNS does not answer
"""

from collections.abc import Mapping, Sequence
from typing import Any


class FederationError(Exception):
    """Base of this package's errors. ``str(error)`` is a sentence that may be shown to the person."""


class NoIdentityProvider(FederationError):
    """The tenant has no identity provider. An unknown tenant is told from it by nothing."""

    def __init__(self) -> None:
        super().__init__("There is no single sign-on for this tenant.")


class SingleSignOnFailed(FederationError):
    """A sign-in at the provider did not lead to a web session. The sentence says why."""


class AccountDisabled(SingleSignOnFailed):
    """The account is disabled, and not by the directory that lets the person in; or it is about to go."""

    def __init__(self) -> None:
        super().__init__(
            "The account is disabled, and not by this directory, or it is being removed. Only an operator enables it."
        )


class NoRole(FederationError):
    """The provider vouches for a person whom the tenant gives no role, or whom its directory does not know."""

    def __init__(self) -> None:
        super().__init__("Your account has no role here. Ask an administrator of the tenant to give you one.")


class IdentityProviderUnavailable(FederationError):
    """The provider does not answer, or not as it should. ``field`` names the member of a body that has its address."""

    field = "issuer"


class TooManyConversations(FederationError):
    """Every thread that may wait for identity providers, or for the DNS, waits for one."""

    def __init__(self, what: str = "Too many people are signing in by providers that are slow.") -> None:
        super().__init__(f"{what} Try again in a moment.")


class SingleSignOnUntried(FederationError):
    """The administrator who requires single sign-on is not signed in by it."""

    def __init__(self) -> None:
        super().__init__("Sign in by the identity provider first. So it is known to work before others need it.")


class SingleSignOnInUse(FederationError):
    """The provider cannot be exchanged or removed while the tenant requires it."""

    def __init__(self) -> None:
        super().__init__("Single sign-on is required. Stop requiring it first.")


class RequestRefused(FederationError):
    """What a directory asks is wrong. The answer is SCIM's: ``status``, ``headers``, and ``body`` as JSON."""

    def __init__(self, detail: str, status: int, headers: Mapping[str, str], body: Mapping[str, Any]) -> None:
        super().__init__(detail)
        self.status, self.headers, self.body = status, headers, body


class TooManyProvisioningTokens(FederationError):
    """The provider has as many tokens for its directory as it may have."""

    def __init__(self, most: int) -> None:
        super().__init__(f"No tenant has more than {most} tokens for its directory. Revoke one first.")


class DomainNotProved(FederationError):
    """The DNS does not have the record. ``record`` is its name, ``expected`` its text, ``found`` what is there."""

    def __init__(self, record: str, expected: str, found: Sequence[str], alias: str | None) -> None:
        self.record, self.expected, self.found = record, expected, list(found)
        if alias is not None:
            told = f"{record} is an alias of {alias}. The record has to stand there itself"
        elif found:
            told = f"{record} has other TXT records, and not this one. It can take a while until all servers have it"
        else:
            told = f"{record} has no TXT record. It can take a while until all servers have it"
        super().__init__(f"{told}.")


class DomainTaken(FederationError):
    """The domain is verified for another tenant, which is not named."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"{name} is verified for another tenant. It is free once its record there was missing for a week."
        )


class TooManyDomains(FederationError):
    """The tenant has claimed as many domains as it may."""

    def __init__(self, most: int) -> None:
        super().__init__(f"No tenant claims more than {most} domains. Remove one first.")


class DnsUnavailable(FederationError):
    """The DNS does not answer, or not as it should."""

    def __init__(self, name: str) -> None:
        super().__init__(f"The DNS does not answer for {name}. Try again in a moment.")
