"""A tenant proves by the DNS that a domain of mail addresses is its own. The DNS server is a real one."""

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from sqlalchemy import select

from tenantapp.cli.installation import Installation as CommandsInstallation
from tenantapp.email_addresses import read_mailbox
from tenantapp.federation import domains
from tenantapp.federation.lapsed_domains import check_domains, keep_checking_domains
from tenantapp.federation.models import IdentityProvider, TenantDomain
from tenantapp.federation.txt_records import TxtRecords
from tenantapp.identity.errors import InvalidValue
from tenantapp.identity.models import AuditEntry
from tenantapp.identity.tenants import get_tenant
from tenantapp.identity.users import get_user
from tenantapp.mail.outbox_models import OutgoingMail
from tenantapp.operations.fleet import Fleet
from tenantapp.setting_types import dns_servers, mail_url
from tenantapp.testing.clock import Clock
from tests.dns_server import BROKEN, SILENT, DnsServer, running_dns_server
from tests.functional.conftest import Command
from tests.installation import PASSWORD, Client, Installation
from tests.ports import free_port

NAME = "acme.example"
RECORD = f"_tenantapp.{NAME}"


@pytest.fixture(scope="module")
def running_dns() -> Iterator[DnsServer]:
    with running_dns_server() as server:
        yield server


@pytest.fixture
def dns(running_dns: DnsServer, installation: Installation, monkeypatch: pytest.MonkeyPatch) -> DnsServer:
    """A DNS server that has nothing yet, which the application asks."""
    running_dns.clear()
    monkeypatch.setattr(installation.registry, "txt_records", asking(running_dns.port))
    return running_dns


@pytest.fixture
def ada(client: Client) -> Client:
    return client.sign_in("ada", "acme")


@pytest.fixture
def gina(installation: Installation) -> Client:
    return Client(installation.app).sign_in("gina", "globex")


def asking(port: int, seconds: float = 2.0) -> TxtRecords:
    return TxtRecords([("127.0.0.1", port)], seconds=seconds, most=1)


def claimed(page: Client, name: str = NAME) -> Any:
    return page.post("/domains", {"domain": name}, status=201).json


def verify(page: Client, domain: Any) -> Any:
    return page.post(f"/domains/{domain['id']}/verify", None)


def verified(page: Client, dns: DnsServer, name: str = NAME) -> Any:
    domain = claimed(page, name)
    dns.publish(domain["record_name"], domain["record_text"])
    answer = verify(page, domain)
    assert answer.status_int == 200, answer.text
    return answer.json


def problem(answer: Any) -> tuple[int, str]:
    return answer.status_int, answer.json["code"]


def trail(installation: Installation) -> list[tuple[str, Any]]:
    with installation.registry.user_db.begin(read_only=True) as session:
        entries = session.query(AuditEntry).order_by(AuditEntry.id)
        return [(each.action, each.detail) for each in entries if each.action.startswith("domain.")]


def test_a_domain_is_claimed_and_proved(ada: Client, dns: DnsServer, installation: Installation) -> None:
    domain = claimed(ada, "ACME.Example.")
    assert (domain["domain"], domain["record_name"]) == (NAME, RECORD)
    assert domain["record_text"].startswith("tenantapp-domain=")
    assert (domain["verified_at"], domain["capture"]) == (None, False)
    refused = verify(ada, domain)
    assert problem(refused) == (409, "domain_not_proved")
    assert (refused.json["expected"], refused.json["found"]) == (domain["record_text"], [])
    dns.publish(RECORD, "v=spf1 -all", domain["record_text"] + "x")
    refused = verify(ada, domain)
    assert sorted(refused.json["found"]) == sorted(["v=spf1 -all", domain["record_text"] + "x"])
    assert ada.get("/domains").json == {"items": [domain]}
    # What the server said before is not kept, whatever its time to live. A text may be in parts.
    text = domain["record_text"].encode()
    dns.texts[RECORD] = [b"v=spf1 -all", (text[:20], text[20:])]
    proved = verify(ada, domain)
    assert (proved.status_int, proved.json["verified_at"] is not None) == (200, True)
    assert verify(ada, domain).json == proved.json
    assert {name for name, _ in dns.asked} == {RECORD}
    ada.patch(f"/domains/{domain['id']}", {"capture": True}, status=200)
    ada.patch(f"/domains/{domain['id']}", {"capture": False}, status=200)
    ada.delete(f"/domains/{domain['id']}", status=204)
    actions = ["domain.claim", "domain.verify", "domain.capture", "domain.release", "domain.remove"]
    assert trail(installation) == [(action, {"domain": NAME}) for action in actions]


def test_what_is_no_proof(ada: Client, gina: Client, dns: DnsServer) -> None:
    domain = claimed(ada)
    text = domain["record_text"]
    # The record of another claim, one at another name, one below, and one that only an alias leads to.
    dns.publish(RECORD, claimed(gina)["record_text"])
    for name in (NAME, f"www.{NAME}", f"{RECORD}.{NAME}"):
        dns.publish(name, text)
    assert problem(verify(ada, domain)) == (409, "domain_not_proved")
    dns.texts.clear()
    dns.aliases |= {RECORD: "a.host.example", "a.host.example": "b.host.example"}
    dns.publish("b.host.example", text)
    refused = verify(ada, domain)
    assert problem(refused) == (409, "domain_not_proved")
    assert "is an alias of b.host.example" in refused.json["detail"]
    assert refused.json["found"] == []
    # A large answer comes by TCP, and only a part of it is told.
    dns.aliases.clear()
    dns.texts[RECORD] = [(bytes([number]) * 255,) * 9 for number in range(20)]
    found = verify(ada, domain).json["found"]
    assert [len(each) for each in found] == [200] * 5
    dns.texts[RECORD].append(text.encode())
    assert verify(ada, domain).status_int == 200
    assert (RECORD, "tcp") in dns.asked


def test_a_dns_that_does_not_answer_is_no_answer(
    ada: Client, dns: DnsServer, installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    domain = verified(ada, dns)
    dns.faults[RECORD] = BROKEN
    refused = verify(ada, domain)
    assert problem(refused) == (503, "dns_unavailable")
    assert refused.headers["Retry-After"]
    monkeypatch.setattr(installation.registry, "txt_records", asking(dns.port, seconds=0.1))
    dns.faults[RECORD] = SILENT
    assert problem(verify(ada, domain)) == (503, "dns_unavailable")
    nowhere = asking(free_port(), seconds=0.1)
    monkeypatch.setattr(installation.registry, "txt_records", nowhere)
    assert problem(verify(ada, domain)) == (503, "dns_unavailable")
    # Few wait for it at once.
    monkeypatch.setattr(installation.registry, "txt_records", TxtRecords([], seconds=1, most=0))
    assert problem(verify(ada, domain)) == (503, "busy")
    assert installation.checkedout() == 0
    assert ada.get("/domains").json["items"] == [domain]


def test_a_tenant_asks_the_dns_one_question_at_a_time(
    ada: Client, gina: Client, dns: DnsServer, installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The servers of its domain may be slow, and other tenants ask too."""
    own, other = claimed(ada), claimed(gina)
    records = TxtRecords([("127.0.0.1", dns.port)], seconds=2, most=2)
    monkeypatch.setattr(installation.registry, "txt_records", records)
    with installation.registry.user_db.begin(read_only=True) as session:
        acme_id = get_tenant(session, "acme").id
    with records.place_of(acme_id):
        assert problem(verify(ada, own)) == (503, "busy")
        assert dns.asked == []
        assert problem(verify(gina, other)) == (409, "domain_not_proved")
    assert problem(verify(ada, own)) == (409, "domain_not_proved")


def test_a_domain_is_verified_for_one_tenant_only(ada: Client, gina: Client, dns: DnsServer) -> None:
    first, second = claimed(ada), claimed(gina)
    dns.publish(RECORD, first["record_text"], second["record_text"])
    assert verify(ada, first).status_int == 200
    refused = verify(gina, second)
    assert problem(refused) == (409, "domain_taken")
    assert "acme" not in refused.json["detail"].replace(NAME, "")
    assert problem(gina.delete(f"/domains/{first['id']}")) == (404, "not_found")
    ada.delete(f"/domains/{first['id']}", status=204)
    assert verify(gina, second).status_int == 200


def test_who_may_and_how_many(ada: Client, installation: Installation, clock: Clock) -> None:
    for name in (
        "",
        "com",
        "acme",
        "127.0.0.1",
        "a..example",
        "*.acme.example",
        "_x.example",
        "acme.example/",
        "a b.example",
    ):
        refused = ada.post("/domains", {"domain": name})
        assert problem(refused) == (422, "invalid"), name
    for number in range(domains.MOST):
        claimed(ada, f"a{number}.example")
    assert problem(ada.post("/domains", {"domain": "more.example"})) == (409, "too_many_domains")
    assert problem(Client(installation.app).sign_in("rita", "acme").get("/domains")) == (403, "permission_denied")
    one = ada.get("/domains").json["items"][0]
    assert one["domain"] == "a0.example"
    ada.delete(f"/domains/{one['id']}", status=204)
    assert problem(ada.post("/domains", {"domain": "A1.EXAMPLE"})) == (409, "already_exists")
    clock.advance(minutes=11)
    for answer in (
        ada.post("/domains", {"domain": "x.example"}),
        verify(ada, one),
        ada.delete(f"/domains/{one['id']}"),
    ):
        assert problem(answer) == (403, "reauthentication_required")


def test_names_are_compared_as_the_dns_has_them() -> None:
    same = {
        domains.check_name(name)
        for name in ("Müller.example", "müller。example", "XN--MLLER-KVA.example.", " \uff4düller.example")
    }
    assert same == {"xn--mller-kva.example"}
    # A letter that looks like another one is another domain.
    assert domains.check_name("\u0430cme.example") == "xn--cme-5cd.example"
    for text in ("straße.example", "acme.example..", ".acme.example", f"{'a' * 64}.example", ".".join(["a" * 60] * 5)):
        with pytest.raises(InvalidValue):
            domains.check_name(text)


def test_a_domain_without_its_record_is_lost_after_a_week(
    ada: Client,
    gina: Client,
    dns: DnsServer,
    installation: Installation,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    registry = installation.registry
    with registry.user_db.begin() as session:
        get_user(session, "ada").mail_address = "ada@acme.example"
        get_user(session, "rita").mail_address = "rita@acme.example"
    settings = replace(
        registry.app_settings,
        dns_servers=(("127.0.0.1", dns.port),),
        mail_url=mail_url("smtp://localhost"),
        mail_from=read_mailbox("us@example.com"),
    )
    fleet = Fleet(registry.user_db, settings, registry.servers)

    def after(**time: float) -> Any:
        clock.advance(**time)
        dns.asked.clear()
        stop = Event()
        monkeypatch.setattr(stop, "wait", lambda seconds: stop.set())
        keep_checking_domains(fleet, stop)
        assert not check_domains(fleet), "nothing is left"
        assert len(dns.asked) <= 1, "each is looked at once a day"
        with registry.user_db.begin(read_only=True) as session:
            [found] = domains.list_domains(session, get_tenant(session, "acme").id)
            session.expunge_all()
        return found

    domain = verified(ada, dns)
    assert after(hours=23).missing_since is None
    assert dns.asked == []
    assert after(hours=2).missing_since is None
    assert dns.asked == [(RECORD, "udp")]
    dns.faults[RECORD] = BROKEN
    assert after(days=9).missing_since is None, "only an answer counts"
    dns.faults.clear()
    dns.texts.clear()
    missed = after(hours=2)
    assert (missed.missing_since is not None, missed.verified_at is not None) == (True, True)
    assert after(days=6).verified_at is not None
    dns.publish(RECORD, domain["record_text"])
    assert after(days=2).missing_since is None
    other = claimed(Client(installation.app).sign_in("gina", "globex"))
    dns.publish(RECORD, other["record_text"])
    after(days=2)
    page = Client(installation.app).sign_in("gina", "globex")
    assert problem(verify(page, other)) == (409, "domain_taken")
    lost = after(days=8)
    assert (lost.verified_at, lost.missing_since) == (None, None)
    assert verify(Client(installation.app).sign_in("gina", "globex"), other).status_int == 200
    assert after(days=30).verified_at is None
    told = [(action, detail) for action, detail in trail(installation) if action in ("domain.miss", "domain.lapse")]
    assert told == [(f"domain.{how}", {"domain": NAME}) for how in ("miss", "miss", "lapse")]
    with registry.user_db.begin(read_only=True) as session:
        mails = session.scalars(select(OutgoingMail.message).order_by(OutgoingMail.expires_at)).all()
    assert {mail["recipient"] for mail in mails} == {"ada@acme.example"}
    missing = "The record of acme.example is missing"
    assert [mail["subject"] for mail in mails] == [missing, missing, "acme.example is no longer verified"]
    assert all(domain["record_text"] in str(mail) for mail in mails)


def with_provider(installation: Installation, slug: str = "acme") -> None:
    """Let a tenant have an identity provider, which nobody asks."""
    with installation.registry.user_db.begin() as session:
        tenant, named = get_tenant(session, slug), {"issuer": "https://x.example.com", "client_id": "x"}
        session.add(IdentityProvider(tenant_id=tenant.id, name="Acme", groups_claim="x", factor_values="", **named))


def test_a_domain_leads_to_the_provider_of_its_tenant(
    ada: Client, gina: Client, dns: DnsServer, installation: Installation
) -> None:
    nobody, path = Client(installation.app), f"/single-sign-on?domain={NAME}"
    domain = claimed(gina)
    with_provider(installation, "globex")
    assert problem(nobody.get(path)) == (404, "not_found"), "a claim is none"
    verified(ada, dns)
    assert problem(nobody.get(path)) == (404, "not_found"), "there is no provider"
    with_provider(installation)
    found = nobody.get(path, status=200).json
    assert found == {"tenant": "acme", "name": "Acme", "start": "/sso/acme/start", "required": False}
    assert nobody.get("/single-sign-on?domain=ACME.example.", status=200).json == found
    for other in ("www.acme.example", "example", "acme.exampl", "ann@acme.example", "%20", "_tenantapp.acme.example"):
        assert problem(nobody.get(f"/single-sign-on?domain={other}")) == (404, "not_found")
    for query in ("", f"?tenant=acme&domain={NAME}"):
        assert problem(nobody.get(f"/single-sign-on{query}")) == (400, "invalid_query")
    gina.delete(f"/domains/{domain['id']}", status=204)
    assert nobody.get(path, status=200).json == found
    with installation.registry.user_db.begin() as session:
        get_tenant(session, "acme").state = "suspended"
    assert problem(nobody.get(path)) == (404, "not_found")


def test_who_has_an_address_of_a_captured_domain_makes_no_account(
    ada: Client, dns: DnsServer, installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry, page = installation.registry, Client(installation.app)
    monkeypatch.setattr(registry, "app_settings", replace(registry.app_settings, identity_registration="open"))
    installation.mails.clear()
    with_provider(installation)

    def subject_of_mail_to(address: str) -> str:
        assert page.post("/users", {"address": address}, status=202).json == {
            "detail": "A mail is sent to the address. Go on with its link."
        }
        return str(installation.deliver_mails()[-1]["Subject"])

    domain = verified(ada, dns)
    assert subject_of_mail_to("grace@acme.example") == "Make your account"
    sent = installation.mails[-1].get_body(("plain",)).get_content()  # type: ignore[union-attr]
    token = sent.partition("/links/registration#")[2][:43]
    ada.patch(f"/domains/{domain['id']}", {"capture": True}, status=200)
    assert subject_of_mail_to("hedy@ACME.example") == "Sign in with your organisation"
    sent = installation.mails[-1].get_body(("plain",)).get_content()  # type: ignore[union-attr]
    assert "http://localhost/sso/acme/start" in sent
    assert "#" not in sent
    # A link from before makes no account either.
    refused = page.post("/links/registration", {"token": token, "login": "grace", "password": PASSWORD})
    assert problem(refused) == (403, "single_sign_on_required")
    assert refused.json["start"] == "/sso/acme/start"
    for address in ("hedy@www.acme.example", "hedy@notacme.example", "hedy@example.com"):
        assert subject_of_mail_to(address) == "Make your account"
    with registry.user_db.begin() as session:
        get_user(session, "bob").mail_address = "bob@acme.example"
    assert subject_of_mail_to("bob@acme.example") == "You have an account already"
    # Without a provider nobody could come in: it captures nobody.
    ada.delete("/identity-provider", status=204)
    registry.throttle.forget("hedy@acme.example")
    assert subject_of_mail_to("hedy@acme.example") == "Make your account"


def test_a_tenant_that_is_removed_has_no_domains_any_more(
    ada: Client, dns: DnsServer, installation: Installation
) -> None:
    verified(ada, dns)
    with installation.registry.user_db.begin() as session:
        session.delete(get_tenant(session, "acme"))
        session.flush()
        assert domains.list_all(session) == []


def test_an_operator_takes_a_domain_from_a_tenant(
    ini: Path, done: Command, failed: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    done("tenants", "create", "acme")
    with closing(CommandsInstallation(ini)) as commands, commands.user_session() as session:
        session.add(TenantDomain(tenant_id=get_tenant(session, "acme").id, name=NAME, challenge="x"))
    (listed,) = done("sso", "domains", "--json").json["items"]
    assert (listed["domain"], listed["tenant"], listed["verified"]) == (NAME, "acme", None)
    assert failed("sso", "remove-domain", "acme", "b.example", "--reason", "x") == (
        "There is no domain of the tenant acme that is called b.example"
    )
    said = done("sso", "remove-domain", "acme", "ACME.example", "--reason", "They sold it").out
    assert said == "The domain acme.example is no longer of the tenant acme.\n"
    entries = done("fleet", "audit", "--tenant", "acme", "--json").json["items"]
    assert [each["detail"] for each in entries if each["action"] == "domain.remove"] == [
        {"domain": NAME, "reason": "They sold it"}
    ]
    assert done("sso", "domains", "--json").json["items"] == []


def test_the_servers_of_the_dns_are_addresses() -> None:
    found = dns_servers("192.0.2.53 192.0.2.54:5353 2001:DB8::53 [2001:db8::54]:54")
    assert found == (("192.0.2.53", 53), ("192.0.2.54", 5353), ("2001:db8::53", 53), ("2001:db8::54", 54))
    for wrong in ("", "dns.example", "300.1.1.1", "192.0.2.53:0", "192.0.2.53:70000", "[192.0.2.53"):
        with pytest.raises(ValueError, match="must"):
            dns_servers(wrong)
