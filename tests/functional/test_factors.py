"""Second factors, passkeys and recovery codes: to set them up, to sign in with them, and to remove them."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pyotp
import pytest
from sqlalchemy import case, select, update
from sqlalchemy.orm import Session

from tenantapp.credentials import authenticator_apps
from tenantapp.credentials.challenges import ATTEMPTS
from tenantapp.credentials.factors import remove_all
from tenantapp.credentials.models import AuthenticatorApp, Passkey, RecoveryCode
from tenantapp.credentials.one_time_links import Purpose, make_link
from tenantapp.credentials.passkey_names import passkey_names
from tenantapp.credentials.recovery_codes import FEW
from tenantapp.credentials.throttling import Throttle
from tenantapp.fleet.removing.expired import sweep_expired
from tenantapp.fleet.rotating.stored_secrets import rotate_stored_secrets
from tenantapp.identity.audit import list_entries
from tenantapp.identity.encrypted import Undecipherable
from tenantapp.identity.models import SignInChallenge, Tenant, User, WebSession
from tenantapp.identity.users import get_user, set_enabled, store_password
from tenantapp.mail.outbox_models import OutgoingMail
from tenantapp.settings import SettingsError
from tenantapp.sql.times import utcnow
from tenantapp.testing.clock import Clock
from tests.authenticators import SoftAuthenticator
from tests.installation import PASSWORD, SECRET, Client, Installation

CREDENTIALS = {"login": "bob", "password": PASSWORD}


def code(answer: Any) -> tuple[int, str | None]:
    return answer.status_int, answer.json.get("code")


@pytest.fixture
def bob(client: Client) -> Client:
    return client.sign_in("bob")


@pytest.fixture
def other(installation: Installation) -> Client:
    """Another browser."""
    return Client(installation.app)


@pytest.fixture
def frozen(clock: Clock) -> Clock:
    clock.freeze()
    return clock


class App:
    """An authenticator app of a person who is signed in, set up and confirmed."""

    def __init__(self, client: Client, clock: Clock) -> None:
        self.clock, self.secret = clock, client.post("/account/factors/totp", status=201).json["secret"]
        client.post("/account/factors/totp/confirmation", {"code": self.code()}, status=204)
        clock.advance(seconds=30)

    def code(self) -> str:
        return pyotp.TOTP(self.secret).at(self.clock.now())


def challenge(client: Client, **more: Any) -> Any:
    """The challenge that a right password is answered with."""
    answer = client.post("/session", {**CREDENTIALS, **more})
    assert code(answer) == (401, "sign_in_incomplete")
    assert "Set-Cookie" not in answer.headers
    return answer.json["challenge"]


def sign_in(client: Client, token: str, **answer: Any) -> Any:
    return client.post("/session", {"challenge": token, **answer})


def add_passkey(client: Client, authenticator: SoftAuthenticator, **more: Any) -> Any:
    asked = client.post("/account/factors/passkey-challenges", status=201).json
    made = authenticator.create(asked["passkey_options"])
    return client.post("/account/factors/passkeys", {"challenge": asked["token"], "passkey": made, **more})


def rows(installation: Installation, model: Any) -> list[Any]:
    with installation.registry.user_db.begin(read_only=True) as session:
        found = list(session.scalars(select(model)))
        session.expunge_all()
    return found


def change(installation: Installation, model: Any, **values: Any) -> None:
    with installation.registry.user_db.begin() as session:
        session.execute(update(model).values(**values))


def actions(installation: Installation) -> list[str]:
    with installation.registry.user_db.begin(read_only=True) as session:
        return [entry.action for entry in reversed(list_entries(session)) if entry.action.startswith("factor.")]


def test_an_app_is_asked_for_once_a_first_code_has_confirmed_it(
    installation: Installation, bob: Client, other: Client, frozen: Clock
) -> None:
    made = bob.post("/account/factors/totp", status=201).json
    assert made["uri"].startswith("otpauth://totp/localhost:bob?secret=")
    assert made["qr_code"].startswith("<svg")
    assert other.post("/session", CREDENTIALS).status_int == 201
    assert code(bob.post("/account/factors/totp/confirmation", {"code": "000000"})) == (401, "invalid_code")
    assert bob.get("/account/factors").json["totp"] is None
    app = App(bob, frozen)  # in place of the one that was not confirmed
    assert app.secret != made["secret"]
    assert bob.get("/account/factors").json["totp"]["last_used_at"] is not None
    assert bob.get("/session").json["factors"] == ["password", "totp"]
    assert code(bob.post("/account/factors/totp")) == (409, "already_exists")
    assert code(bob.post("/account/factors/totp/confirmation", {"code": app.code()})) == (404, "not_found")
    asked = challenge(other)
    assert asked["methods"] == ["totp"]
    answer = sign_in(other, asked["token"], code=app.code())
    assert (answer.status_int, answer.json["factors"]) == (201, ["password", "totp"])
    assert actions(installation) == ["factor.add"]


def test_each_code_works_once_and_its_clock_may_be_a_step_off(bob: Client, other: Client, frozen: Clock) -> None:
    app = App(bob, frozen)
    used = app.code()
    assert sign_in(other, challenge(other)["token"], code=used).status_int == 201
    asked = challenge(other)
    assert code(sign_in(other, asked["token"], code=used)) == (401, "invalid_code")
    frozen.advance(seconds=60)
    late = app.code()
    frozen.advance(seconds=30)
    assert sign_in(other, asked["token"], code=f"{late[:3]} {late[3:]}").status_int == 201
    assert code(sign_in(other, asked["token"], code=app.code())) == (401, "challenge_ended")
    frozen.advance(seconds=30)
    too_late = app.code()
    frozen.advance(seconds=60)
    assert code(sign_in(other, challenge(other)["token"], code=too_late)) == (401, "invalid_code")


def test_a_challenge_ends(installation: Installation, bob: Client, other: Client, frozen: Clock) -> None:
    app = App(bob, frozen)
    asked = challenge(other)
    for _ in range(ATTEMPTS):
        assert code(sign_in(other, asked["token"], code="000000")) == (401, "invalid_code")
    assert code(sign_in(other, asked["token"], code=app.code())) == (401, "challenge_ended")
    assert code(sign_in(other, challenge(other)["token"], code=app.code())) == (429, "too_many_attempts")
    frozen.advance(seconds=30)
    assert code(sign_in(other, "unknown", code=app.code())) == (401, "challenge_ended")
    asked = challenge(other)
    change(installation, User, password_hash="changed meanwhile")
    assert code(sign_in(other, asked["token"], code=app.code())) == (401, "challenge_ended")
    stored = rows(installation, SignInChallenge)
    assert asked["token"].encode() not in {row.token_hash for row in stored}
    frozen.advance(minutes=10)
    assert code(sign_in(other, asked["token"], code=app.code())) == (401, "challenge_ended")
    with installation.registry.user_db.begin() as session:
        assert sweep_expired(session)[SignInChallenge] == len(stored) == 3


def test_a_challenge_ends_with_the_rights_of_its_person(
    installation: Installation, bob: Client, other: Client, frozen: Clock
) -> None:
    """Also if they get them back: what an old password has proved does not count any more."""
    app = App(bob, frozen)

    def disable_and_enable(session: Session) -> None:
        set_enabled(session, "bob", False)
        set_enabled(session, "bob", True)

    def same_password(session: Session) -> None:
        user = get_user(session, "bob")
        store_password(session, user, user.password_hash or "", "password.change")

    for act in (disable_and_enable, same_password):
        asked = challenge(other)
        with installation.registry.user_db.begin() as session:
            act(session)
        frozen.advance(seconds=30)
        assert code(sign_in(other, asked["token"], code=app.code())) == (401, "challenge_ended"), act
    asked = challenge(other)
    assert rows(installation, SignInChallenge) != []
    with installation.registry.user_db.begin() as session:
        remove_all(session, "bob")
    assert rows(installation, SignInChallenge) == []


def test_a_tenant_that_is_not_granted_is_refused_before_the_second_step(
    bob: Client, other: Client, frozen: Clock
) -> None:
    app = App(bob, frozen)
    assert code(other.post("/session", {**CREDENTIALS, "tenant": "globex"})) == (403, "tenant_forbidden")
    asked = challenge(other, tenant="acme")
    assert sign_in(other, asked["token"], code=app.code()).json["tenant"]["slug"] == "acme"


def test_secrets_are_stored_encrypted(installation: Installation, bob: Client, frozen: Clock) -> None:
    app = App(bob, frozen)
    secret = installation.registry.app_settings.tenancy_secret
    (row,) = rows(installation, AuthenticatorApp)
    assert (app.secret in row.secret) is (secret is None)
    with installation.registry.user_db.begin() as session:
        secrets = (SECRET * 2, secret)
        assert authenticator_apps.prove(session, secrets, row.user_id, app.code()) == "totp"
    registry, settings = installation.registry, installation.registry.app_settings
    rotating = replace(settings, tenancy_secret=SECRET * 2, tenancy_former_secret=secret)
    fleet = replace(registry.fleet, user_db=registry.user_db, settings=rotating)
    assert [each.changed for each in rotate_stored_secrets(fleet, lambda: None)] == [1]
    assert list(rotate_stored_secrets(fleet, lambda: None)) == []
    with registry.user_db.begin() as session:
        frozen.advance(seconds=30)
        with pytest.raises(Undecipherable):
            authenticator_apps.prove(session, (SECRET,), row.user_id, app.code())
        assert authenticator_apps.prove(session, secrets[:1], row.user_id, app.code()) == "totp"


def test_recovery_codes_stand_in_once_each(
    installation: Installation, bob: Client, other: Client, frozen: Clock
) -> None:
    assert code(bob.post("/account/factors/recovery-codes")) == (409, "no_second_factor")
    App(bob, frozen)
    change(installation, User, mail_address=case((User.login == "bob", "bob@example.com")))
    assert bob.get("/account/factors").json["few_recovery_codes"] is True
    former = bob.post("/account/factors/recovery-codes", status=201).json["codes"]
    codes = bob.post("/account/factors/recovery-codes", status=201).json["codes"]
    assert len(set(codes)) == 10
    assert all(len(each.replace("-", "")) * 5 >= 112 for each in codes)
    assert {codes[0].encode(), codes[0].replace("-", "").encode()}.isdisjoint(
        row.code_hash for row in rows(installation, RecoveryCode)
    )
    asked = challenge(other)
    assert asked["methods"] == ["totp", "recovery_code"]
    assert code(sign_in(other, asked["token"], recovery_code=former[0])) == (401, "invalid_code")
    answer = sign_in(other, asked["token"], recovery_code=codes[0].upper().replace("-", " "))
    assert (answer.status_int, answer.json["factors"]) == (201, ["password", "recovery_code"])
    (mail,) = [each for each in rows(installation, OutgoingMail) if "recovery" in each.message["subject"]]
    assert all(each in str(mail.message) for each in ("bob@example.com", "A recovery code was used", "Codes left: 9."))
    assert code(sign_in(other, challenge(other)["token"], recovery_code=codes[0])) == (401, "invalid_code")
    shown = bob.get("/account/factors").json
    assert (shown["recovery_codes"], shown["few_recovery_codes"]) == (9, False)
    renewed = "factor.renew_recovery_codes"
    assert actions(installation) == ["factor.add", renewed, renewed, "factor.use_recovery_code"]


def test_people_are_told_when_few_recovery_codes_are_left(
    installation: Installation, bob: Client, frozen: Clock
) -> None:
    App(bob, frozen)
    change(installation, User, mail_address=case((User.login == "bob", "bob@example.com")))
    codes = bob.post("/account/factors/recovery-codes", status=201).json["codes"]
    for recovery_code in codes[FEW:]:
        bob.csrf_token = bob.post("/session/reauthentication", {"recovery_code": recovery_code}).json["csrf_token"]
    subjects = sorted(mail.message["subject"] for mail in rows(installation, OutgoingMail))
    assert [each for each in subjects if "changed" not in each] == [
        *["A recovery code was used"] * (len(codes) - FEW - 1),
        "A recovery code was used, and few are left",
    ]
    assert bob.get("/account/factors").json["few_recovery_codes"] is True


def test_a_password_by_a_link_leaves_the_second_factor(
    installation: Installation, bob: Client, other: Client, frozen: Clock
) -> None:
    app = App(bob, frozen)
    with installation.registry.user_db.begin() as session:
        token = make_link(session, Purpose.RESET_PASSWORD, user_id=get_user(session, "bob").id)
    other.post("/links/reset-password", {"token": token, "password": "three otters juggling"}, status=204)
    asked = challenge(other, password="three otters juggling")
    assert asked["methods"] == ["totp"]
    assert sign_in(other, asked["token"], code=app.code()).json["factors"] == ["password", "totp"]


def test_a_passkey_is_a_second_factor(installation: Installation, bob: Client, other: Client) -> None:
    authenticator = SoftAuthenticator(verifies=False)
    made = add_passkey(bob, authenticator, name="Key on my key ring")
    assert made.status_int == 201
    assert (made.json["name"], made.json["host"]) == ("Key on my key ring", "localhost")
    assert bob.get("/session").json["factors"] == ["passkey", "password"]
    asked = challenge(other)
    assert asked["methods"] == ["passkey"]
    signed = authenticator.get(asked["passkey_options"])
    assert sign_in(other, asked["token"], passkey=signed).json["factors"] == ["passkey", "password"]
    assert code(sign_in(other, asked["token"], passkey=signed)) == (401, "challenge_ended")
    assert code(sign_in(other, challenge(other)["token"], passkey=signed)) == (401, "invalid_code")
    assert bob.get("/account/factors").json["passkeys"][0]["last_used_at"] is not None


def test_a_passkey_alone_says_who_it_is_if_it_verifies_the_person(bob: Client, other: Client) -> None:
    authenticator = SoftAuthenticator()
    assert add_passkey(bob, authenticator).json["name"].startswith("Passkey 20")
    add_passkey(bob, SoftAuthenticator(), name="Another one")
    asked = other.post("/passkey-challenges", status=201).json
    assert asked["passkey_options"]["userVerification"] == "required"
    assert asked["passkey_options"]["allowCredentials"] == []
    answer = sign_in(other, asked["token"], passkey=authenticator.get(asked["passkey_options"]))
    assert (answer.status_int, answer.json["factors"]) == (201, ["passkey"])
    assert answer.json["user"]["login"] == "bob"
    authenticator.verifies = False
    asked = other.post("/passkey-challenges").json
    unverified = authenticator.get(asked["passkey_options"])
    assert code(sign_in(other, asked["token"], passkey=unverified)) == (401, "invalid_code")


def test_nobody_has_challenges_stored_without_end(
    installation: Installation, bob: Client, other: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are counted for the address alone; those that somebody signs in by do not count."""
    other.http.extra_environ["REMOTE_ADDR"] = "192.0.2.1"
    authenticator, counters = SoftAuthenticator(), installation.registry.throttle._counters
    add_passkey(bob, authenticator)
    monkeypatch.setattr(installation.registry, "throttle", Throttle(counters, per_address=2, overall=2))
    for _ in range(3):
        asked = other.post("/passkey-challenges", status=201).json
        signed = authenticator.get(asked["passkey_options"])
        assert sign_in(other, asked["token"], passkey=signed).status_int == 201
        other.http.reset()
        other.csrf_token = ""
    answers = [other.post("/passkey-challenges") for _ in range(3)]
    assert [code(each) for each in answers[1:]] == [(201, None), (429, "too_many_attempts")]
    assert 0 < int(answers[-1].headers["Retry-After"]) <= 600
    assert len(rows(installation, SignInChallenge)) == 2
    other.http.extra_environ["REMOTE_ADDR"] = "192.0.2.2"
    assert other.post("/passkey-challenges").status_int == 201


def test_a_passkey_alone_lets_no_disabled_person_in(installation: Installation, bob: Client, other: Client) -> None:
    authenticator = SoftAuthenticator()
    add_passkey(bob, authenticator)
    change(installation, User, enabled=False)
    asked = other.post("/passkey-challenges").json
    signed = authenticator.get(asked["passkey_options"])
    assert code(sign_in(other, asked["token"], passkey=signed)) == (401, "invalid_credentials")


def test_what_is_wrong_with_a_signature_is_found(installation: Installation, bob: Client, other: Client) -> None:
    authenticator = SoftAuthenticator()
    add_passkey(bob, authenticator)

    def attempt(token: str | None = None, **changes: Any) -> tuple[int, str | None]:
        asked = other.post("/passkey-challenges").json
        signed = authenticator.get(asked["passkey_options"])
        return code(sign_in(other, token or asked["token"], passkey={**signed, **changes}))

    wrong = (401, "invalid_code")
    authenticator.origin = "http://phishing.example"
    assert attempt() == wrong
    authenticator.origin = "http://localhost"
    assert attempt(other.post("/passkey-challenges").json["token"]) == wrong
    assert attempt(id="c29tZWJvZHkgZWxzZQ") == attempt(id=17) == attempt(response={}) == wrong
    authenticator.signatures = 0  # a copy of the authenticator has not seen the signatures of the original
    assert attempt() == wrong
    change(installation, Passkey, rp_id="elsewhere.example")
    authenticator.signatures = 100
    assert attempt() == wrong
    change(installation, Passkey, rp_id="localhost")
    assert attempt() == (201, None)


def test_what_is_wrong_with_a_new_passkey_is_found(bob: Client, other: Client) -> None:
    authenticator = SoftAuthenticator(origin="http://phishing.example")
    assert code(add_passkey(bob, authenticator)) == (422, "invalid")
    asked = bob.post("/account/factors/passkey-challenges").json
    body = {"challenge": asked["token"], "passkey": SoftAuthenticator().create(asked["passkey_options"])}
    other.sign_in("rita")
    assert code(other.post("/account/factors/passkeys", body)) == (401, "challenge_ended")
    assert code(bob.post("/account/factors/passkeys", {**body, "passkey": {"id": "x"}})) == (422, "invalid")
    assert bob.post("/account/factors/passkeys", body).status_int == 201
    assert code(bob.post("/account/factors/passkeys", body)) == (401, "challenge_ended")


def test_a_passkey_is_called_by_what_has_made_it(
    installation: Installation, bob: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = replace(installation.registry.app_settings, passkeys_names=str(tmp_path / "names.json"))
    for wrong in ("", "[]", '{"x": {"name": "X"}}', '{"00010203-0405-0607-0809-0a0b0c0d0e0f": {"name": ""}}'):
        (tmp_path / "names.json").write_text(wrong)
        with pytest.raises(SettingsError, match=r"passkeys\.names"):
            passkey_names(settings)
    (tmp_path / "names.json").write_text('{"00010203-0405-0607-0809-0a0b0c0d0e0f": {"name": "Soft Key", "icon": "x"}}')
    monkeypatch.setattr(installation.registry, "passkey_names", passkey_names(settings))
    names = [add_passkey(bob, SoftAuthenticator(), **more).json["name"] for more in ({}, {}, {"name": "Mine"})]
    assert names == ["Soft Key", f"Soft Key {utcnow():%Y-%m-%d}", "Mine"]


def test_passkeys_are_renamed_and_removed_by_their_person(
    installation: Installation, bob: Client, other: Client
) -> None:
    first, second = (add_passkey(bob, SoftAuthenticator(), name=name).json["id"] for name in ("One", "Two"))
    path = f"/account/factors/passkeys/{first}"
    other.sign_in("rita")
    assert code(other.patch(path, {"name": "Mine"})) == code(other.delete(path)) == (404, "not_found")
    assert bob.patch(path, {"name": " At home "}, status=200).json["name"] == "At home"
    bob.post("/account/factors/recovery-codes", status=201)
    bob.delete(path, status=204)
    assert [each["id"] for each in bob.get("/account/factors").json["passkeys"]] == [second]
    change(installation, Tenant, second_factor_required=True)
    assert code(bob.delete(f"/account/factors/passkeys/{second}")) == (409, "factor_needed")
    change(installation, Tenant, second_factor_required=False)
    bob.delete(f"/account/factors/passkeys/{second}", status=204)
    assert rows(installation, RecoveryCode) == []
    assert Client(installation.app).post("/session", CREDENTIALS).status_int == 201


def test_a_passkey_of_another_host_is_no_way_in(installation: Installation, bob: Client, frozen: Clock) -> None:
    """It is asked for here, and works there alone."""
    here, elsewhere = (f"/account/factors/passkeys/{add_passkey(bob, SoftAuthenticator()).json['id']}" for _ in "12")
    there = UUID(elsewhere.rpartition("/")[2])
    change(installation, Passkey, rp_id=case((Passkey.id == there, "elsewhere.example"), else_=Passkey.rp_id))
    App(bob, frozen)
    bob.delete(here, status=204)
    assert code(bob.delete("/account/factors/totp")) == (409, "factor_needed")
    bob.delete(elsewhere, status=204)
    bob.delete("/account/factors/totp", status=204)
    assert Client(installation.app).post("/session", CREDENTIALS).status_int == 201


def test_an_app_is_removed(installation: Installation, bob: Client, frozen: Clock) -> None:
    assert code(bob.delete("/account/factors/totp")) == (404, "not_found")
    change(installation, User, mail_address=case((User.login == "bob", "bob@example.com")))
    App(bob, frozen)
    bob.delete("/account/factors/totp", status=204)
    assert rows(installation, AuthenticatorApp) == []
    assert actions(installation) == ["factor.add", "factor.remove"]
    told = [(mail.message["to"][0][1], mail.message["subject"]) for mail in rows(installation, OutgoingMail)]
    assert told == [("bob@example.com", "The second factors of your account were changed")] * 2


def test_an_initial_password_expires(installation: Installation, other: Client, clock: Clock) -> None:
    change(installation, User, password_initial=True)
    clock.advance(days=2)
    assert code(other.post("/session", CREDENTIALS)) == (401, "password_change_required")
    clock.advance(days=1)
    assert code(other.post("/session", CREDENTIALS)) == (401, "invalid_credentials")
    change(installation, User, password_initial=False)
    assert other.post("/session", CREDENTIALS).status_int == 201


@pytest.mark.parametrize("second_factor", [False, True])
def test_an_initial_password_is_changed_first(
    installation: Installation, bob: Client, other: Client, frozen: Clock, second_factor: bool
) -> None:
    app = App(bob, frozen) if second_factor else None
    change(installation, User, password_initial=True, mail_address=case((User.login == "bob", "bob@example.com")))
    if app is not None:
        asked = challenge(other)
        assert code(sign_in(other, asked["token"], new_password="kettle umbrella granite")) == (401, "challenge_ended")
        answer = sign_in(other, asked["token"], code=app.code())
    else:
        answer = other.post("/session", CREDENTIALS)
    assert code(answer) == (401, "password_change_required")
    asked = answer.json["challenge"]
    assert asked["methods"] == ["new_password"]
    assert code(sign_in(other, asked["token"], new_password="short")) == (422, "invalid")
    answer = sign_in(other, asked["token"], new_password="kettle umbrella granite")
    assert (answer.status_int, "totp" in answer.json["factors"]) == (201, second_factor)
    assert code(sign_in(other, asked["token"], new_password="kettle umbrella granite")) == (401, "challenge_ended")
    with installation.registry.user_db.begin(read_only=True) as session:
        user = get_user(session, "bob")
        assert (user.password_initial, user.password_set_at) == (False, frozen.now())
    assert "Your password was changed" in {mail.message["subject"] for mail in rows(installation, OutgoingMail)}
    assert code(other.post("/session", CREDENTIALS)) == (401, "invalid_credentials")


def test_who_proves_again_who_they_are_gets_a_new_token(installation: Installation, bob: Client, frozen: Clock) -> None:
    app, authenticator = App(bob, frozen), SoftAuthenticator()
    add_passkey(bob, authenticator)
    (recovery_code, *_) = bob.post("/account/factors/recovery-codes").json["codes"]
    change(installation, WebSession, factors="password", authenticated_at=frozen.now() - timedelta(hours=1))
    asked = bob.post("/session/passkey-challenges", status=201).json
    proofs: list[dict[str, Any]] = [
        {"password": PASSWORD},
        {"code": app.code()},
        {"recovery_code": recovery_code},
        {"challenge": asked["token"], "passkey": authenticator.get(asked["passkey_options"])},
    ]
    for proof in proofs:
        before, former = bob.copy(), bob.http.cookies["tenantapp"]
        answer = bob.post("/session/reauthentication", proof, status=200)
        bob.csrf_token = answer.json["csrf_token"]
        assert bob.http.cookies["tenantapp"] != former
        assert before.get("/session").status_int == 401
    shown = bob.get("/session").json
    assert shown["factors"] == ["passkey", "password", "recovery_code", "totp"]
    assert shown["authenticated_at"].startswith(f"{frozen.now():%Y-%m-%dT%H:%M}")
    for proof, expected in zip(proofs, ["", "invalid_code", "invalid_code", "challenge_ended"], strict=True):
        if expected:
            assert code(bob.post("/session/reauthentication", proof)) == (401, expected)
    assert code(bob.post("/session/reauthentication", {"password": "wrong"})) == (401, "invalid_credentials")
    assert code(bob.post("/session/reauthentication", {"passkey": {}})) == (422, "invalid")
