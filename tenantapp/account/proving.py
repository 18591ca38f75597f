"""What people send to prove who they are, and what is made of it."""

from contextlib import nullcontext
from typing import Any

from pydantic import Field, model_validator

from tenantapp.account.guarding import challenge_met, guarded
from tenantapp.account.post import post_of
from tenantapp.account.relying_parties import relying_party
from tenantapp.api.json import Body
from tenantapp.content import example
from tenantapp.credentials import challenges
from tenantapp.credentials.challenges import Pending, Purpose
from tenantapp.credentials.factors import Answer
from tenantapp.credentials.password_rules import hash_new_password
from tenantapp.credentials.sign_in import Proof, authenticate
from tenantapp.credentials.throttling import Kind
from tenantapp.identity.encrypted import secrets_of
from tenantapp.tenancy.access import has_second_factor
from tenantapp.tenancy.request import TenantRequest

ANSWERS = ("code", "recovery_code", "passkey", "new_password")


class SignIn(Body, json_schema_extra=example({"login": "ada", "password": "correct horse battery", "tenant": "acme"})):
    """The body of ``POST /session``: a login and a password, or the answer to a challenge.

    The answer is one of ``code``, ``recovery_code``, ``passkey`` and ``new_password``: what the methods of the
    challenge name. ``passkey`` is what ``navigator.credentials.get`` has returned, as JSON.
    """

    login: str | None = Field(None, max_length=1000)
    password: str | None = Field(None, max_length=10_000)
    tenant: str | None = Field(None, max_length=1000)
    challenge: str | None = Field(None, max_length=100)
    code: str | None = Field(None, max_length=100)
    recovery_code: str | None = Field(None, max_length=100)
    passkey: dict[str, Any] | None = None
    new_password: str | None = Field(None, max_length=10_000)

    @model_validator(mode="after")
    def one_step(self) -> "SignIn":
        """Raise ``ValueError`` unless it is one of the two."""
        answers = sum(getattr(self, name) is not None for name in ANSWERS)
        first = self.login is not None and self.password is not None and self.challenge is None and not answers
        then = self.challenge is not None and answers == 1 and self.login is self.password is self.tenant is None
        if not (first or then):
            raise ValueError("Give login and password, or a challenge and one answer to it.")
        return self


def proof_in(request: TenantRequest, body: SignIn) -> tuple[Proof, str | None]:
    """Return what the request proves, and the slug of the tenant that is to be selected.

    Raises what ``authenticate`` and ``challenges`` raise, also if another step has to follow, and what ``guarded``
    raises.
    """
    user_db = request.registry.user_db
    proof, tenant = _first_step(request, body) if body.challenge is None else _next_step(request, body, body.challenge)
    challenges.require_rest(user_db, proof, tenant, relying_party(request), request.actor)
    return proof, tenant


def _first_step(request: TenantRequest, body: SignIn) -> tuple[Proof, str | None]:
    login, memory = body.login or "", request.registry.app_settings.passwords_memory
    with guarded(request, Kind.PASSWORD, login):
        return authenticate(request.registry.user_db, login, body.password or "", memory), body.tenant


def _next_step(request: TenantRequest, body: SignIn, token: str) -> tuple[Proof, str | None]:
    user_db = request.registry.user_db
    if body.new_password is not None:
        pending = challenges.open_challenge(user_db, token, Purpose.NEW_PASSWORD)
        password_hash = hash_own_password(request, pending, body.new_password)
        proof = challenges.choose_password(request.user_session, pending, password_hash, post_of(request))
        return proof, _tenant(pending)
    pending = challenges.open_challenge(user_db, token, Purpose.SECOND_FACTOR, Purpose.PASSKEY)
    answer = Answer(body.code, body.recovery_code, body.passkey)
    secrets, party = secrets_of(request.registry.app_settings), relying_party(request)
    # Nobody guesses what a passkey has signed, and without a person there is no account to guard.
    guard = guarded(request, Kind.CODE, pending.login) if pending.login else nullcontext()
    with guard:
        proof = challenges.prove_rest(user_db, secrets, pending, answer, party, request.actor)
    if not pending.login:
        challenge_met(request)
    return proof, _tenant(pending)


def hash_own_password(request: TenantRequest, pending: Pending, password: str) -> str:
    """Return the hash of the password that somebody chooses in place of an initial one. Raises ``InvalidValue``."""
    with request.registry.user_db.begin(read_only=True) as session:
        words = challenges.words_against(session, pending)
    return hash_new_password(
        password,
        words,
        memory=request.registry.app_settings.passwords_memory,
        second_factor=has_second_factor(pending.proved),
        breached=request.registry.breached_passwords,
    )


def _tenant(pending: Pending) -> str | None:
    slug: str | None = pending.detail.get("tenant")
    return slug
