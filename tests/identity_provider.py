"""An identity provider in the tests: ``oidc-provider`` of npm, a certified one, in a process of its own."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import httpx

from tests.node import CLIENTS, NODE, node_packages

CLIENT_ID: Final = "tenantapp"
CLIENT_SECRET: Final = "a secret: with odd/+&% characters"
CALLBACK: Final = "http://localhost/sso/callback"
MOST_HOPS: Final = 10


@dataclass(frozen=True)
class Provider:
    """A running provider. People are described by their claims; a browser that has its cookies stays signed in."""

    issuer: str

    def visit(self, address: str, person: dict[str, Any], **changed: str) -> str:
        """Sign a person in at this address of the provider, and return where it sends the browser back to.

        ``changed`` are other values for parameters of the address.
        """
        url = httpx.URL(address).copy_merge_params({"login_hint": json.dumps(person), **changed})
        with httpx.Client(trust_env=False) as browser:
            for _ in range(MOST_HOPS):
                answer = browser.get(url)
                assert answer.is_redirect, answer.text
                url = answer.url.join(answer.headers["Location"])
                if str(url).startswith(CALLBACK):
                    return str(url)
        raise AssertionError(f"the provider does not come to an end: {url}")


@contextmanager
def running_provider() -> Iterator[Provider]:
    """Start a provider, and end it."""
    command = [NODE / "bin" / "node", CLIENTS / "provider.js", node_packages()]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        issuer = process.stdout.readline().strip()
        assert issuer, "the identity provider does not start"
        try:
            yield Provider(issuer)
        finally:
            process.kill()
