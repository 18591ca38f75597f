"""Values that JSON does not have: read from bodies as clients write them, stored, patched, and answered the same."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Annotated, Any, Literal
from uuid import UUID

import orjson
import pytest
from pydantic import BaseModel, Field, ValidationError

from tenantapp.content import Content
from tenantapp.identity.local_access import local_access
from tenantapp.json_types import dumps, written
from tests.functional.things import Base, Color, Part, ThingContent
from tests.installation import Client, Installation

# As a client writes it, and as it is answered where that differs.
FULL: dict[str, Any] = {
    "price": "1234567.8900",
    "due": "2026-02-28",
    "at": "2026-01-31T09:30:00.123456Z",
    "opens": "09:30:00",
    "lasts": "P1DT2H30M",
    "other": "01900000-0000-7000-8000-00000000abcd",
    "color": "blue",
    "size": 2,
    "kind": "first",
    "owner": "01900000-0000-7000-8000-000000000001",
    "until": "2026-12-31T23:59:59Z",
    "local": "2026-01-31T09:30:00",
    "holidays": ["2026-12-25", "2026-12-26"],
    "labels": ["a", "b"],
    "pair": ["2026-01-31", "0.10"],
    "rates": {"EUR": "1", "USD": "1.0850"},
    "by_day": {"2026-01-31": 3},
    "part": {"due": "2026-03-01", "price": "0.30", "color": "red", "parts": []},
    "raw": "YWJj",
    "checked": "2026-01-01",
    "either": "2026-01-31",
}
WRITTEN_OTHERWISE: dict[str, tuple[Any, Any]] = {
    "price": (5, "5"),
    "at": ("2026-01-31t11:30:00.5+02:00", "2026-01-31T09:30:00.500000Z"),
    "until": ("2026-12-31T23:59:59.1234567-01:00", "2027-01-01T00:59:59.123456Z"),
    "opens": ("09:30", "09:30:00"),
    "lasts": ("PT26H30M", "P1DT2H30M"),
    "other": ("01900000-0000-7000-8000-00000000ABCD", "01900000-0000-7000-8000-00000000abcd"),
    "labels": (["b", "a", "b"], ["a", "b"]),
    "rates": ({"EUR": 1, "USD": "1.0850"}, {"EUR": "1", "USD": "1.0850"}),
    "either": ("never", "never"),
}
PART = {"due": "2026-01-31", "price": "1"}
REFUSED: tuple[tuple[str, Any, str], ...] = (
    *(("due", value, "/due") for value in (20260228, 1.5, True, "20260228", "2026-2-28", "2026-02-30", "1769817600")),
    *(("due", value, "/due") for value in ("2026-02-28T00:00:00Z", " 2026-02-28", "٢٠٢٦-02-28", "", [], {})),
    *(("at", value, "/at") for value in (1769817600, "1769817600", "2026-01-31", "2026-01-31T09:30:00", "now")),
    *(("at", value, "/at") for value in ("2026-01-31T09:30Z", "2026-01-31 09:30:00Z", "2026-01-31T25:00:00Z")),
    *(("at", value, "/at") for value in ("0001-01-01T00:00:00+23:00", "9999-12-31T23:59:59-23:00", "2026-01-31T09Z")),
    *(("local", value, "/local") for value in ("2026-01-31T09:30:00Z", "2026-01-31T09:30:00+02:00", 5)),
    *(("opens", value, "/opens") for value in (34200, "34200", "9:30", "24:00", "09:30Z", "09:30+02:00")),
    *(("lasts", value, "/lasts") for value in (60, "60", "1 day", "01:00:00", "P1M", "P1Y", "P", "PT")),
    ("lasts", "P99999999999D", "/lasts"),
    *(("price", value, "/price") for value in (1.5, True, "1,5", "1e2", "NaN", "Infinity", "+1", " 1", "1_0", "01")),
    *(("price", value, "/price") for value in ("-1", "0.00001", "1234567890123", 10**12, "9" * 5000, "٣")),
    ("other", 5, "/other"),
    ("other", "{01900000-0000-7000-8000-00000000abcd}", "/other"),
    ("other", "0190000000007000800000000000abcd", "/other"),
    *(("color", value, "/color") for value in ("green", "RED", 1, None)),
    *(("size", value, "/size") for value in (True, 1.0, "1", 3)),
    *(("labels", value, "/labels") for value in ("ab", {"a": 1})),
    ("labels", [1], "/labels/0"),
    ("holidays", ["2026-12-25", 5], "/holidays/1"),
    ("pair", ["2026-01-31", 0.1], "/pair/1"),
    ("rates", {"EUR": 1.5}, "/rates/EUR"),
    ("by_day", {"31.1.2026": 3}, "/by_day/31.1.2026"),
    ("part", {"due": 5, "price": "1"}, "/part/due"),
    ("part", {"parts": [{"due": "2026-01-31", "price": 0.5}]} | PART, "/part/parts/0/price"),
    ("raw", "YWJ", "/raw"),
    ("checked", 20260101, "/checked"),
    ("either", "2026-1-1", "/either"),
)  # fmt: skip


@pytest.fixture(scope="module")
def installed(make_installation: Any) -> Iterator[Installation]:
    """With a resource that has a field of every type."""
    with make_installation(**{"pyramid.includes": "tests.functional.things"}) as installation:
        with installation.registry.user_db.begin(read_only=True) as session:
            access = local_access(session, "acme")
        with installation.registry.tenant_dbs.begin(access) as session:
            Base.metadata.create_all(session.connection())
        yield installation


@pytest.fixture
def bob(installed: Installation) -> Client:
    return Client(installed.app).sign_in("bob")


def test_a_time_without_a_zone_is_described_as_one(installed: Installation) -> None:
    fields = installed.registry.openapi.content["components"]["schemas"]["ThingContent"]["properties"]
    assert fields["opens"]["format"] == "time-local"
    assert fields["at"]["format"] == "date-time"
    (local, _) = fields["local"]["anyOf"]
    assert local["format"] == "date-time-local"


def made(bob: Client) -> str:
    answer = bob.post("/things", FULL)
    assert answer.status_int == 201, answer.text
    return f"/things/{answer.json['id']}"


def test_every_type_comes_back_as_it_was_sent(bob: Client) -> None:
    path = made(bob)
    for answer in (bob.get(path), bob.put(path, FULL), bob.patch(path, FULL), bob.patch(path, {})):
        assert answer.status_int == 200, answer.text
        assert answer.json["content"] == FULL
    assert (answer.json["total"], answer.json["days"], answer.json["took"]) == (
        "2469135.7800",
        ["2026-01-01", "2026-02-28"],
        "PT1M30S",
    )


@pytest.mark.parametrize("name", WRITTEN_OTHERWISE)
def test_other_ways_to_write_a_value(bob: Client, name: str) -> None:
    sent, answered = WRITTEN_OTHERWISE[name]
    path = made(bob)
    created = bob.post("/things", FULL | {name: sent})
    for answer in (created, bob.patch(path, {name: sent}), bob.put(path, FULL | {name: sent})):
        assert answer.json.get("content") == FULL | {name: answered}, answer.text


def test_a_patch_changes_what_it_names_and_keeps_the_rest(bob: Client) -> None:
    path = made(bob)
    changes = {"due": "2027-01-01", "owner": None, "part": {"price": "9.99"}, "rates": {"USD": None, "CHF": "0.95"}}
    changed = bob.patch(path, changes | {"by_day": {"2026-01-31": 4, "2026-02-01": 1}, "size": None})
    assert changed.json["content"] == FULL | {
        "due": "2027-01-01",
        "owner": None,
        "part": FULL["part"] | {"price": "9.99"},
        "rates": {"EUR": "1", "CHF": "0.95"},
        "by_day": {"2026-01-31": 4, "2026-02-01": 1},
        "size": 1,
    }
    refused = bob.patch(path, {"part": {"due": 5}, "rates": {"EUR": 0.5}, "at": None})
    assert {error["pointer"] for error in refused.json["errors"]} == {"/at", "/rates/EUR", "/part/due"}
    assert bob.get(path).json["content"] == changed.json["content"]


def test_what_a_client_would_be_surprised_by_is_refused(bob: Client) -> None:
    path = made(bob)
    for name, value, pointer in REFUSED:
        for answer in (bob.patch(path, {name: value}), bob.post("/things", FULL | {name: value})):
            if value is None and answer.request.method == "PATCH":
                continue
            assert answer.status_int == 422, (name, value, answer.text)
            assert {error["pointer"] for error in answer.json["errors"]} == {pointer}, (name, value)
    assert bob.get(path).json["content"] == FULL
    incomplete = bob.post("/things", FULL | {"part": {"price": "1"}})
    assert incomplete.json["errors"] == [{"pointer": "/part/due", "detail": "Field required."}]


def test_in_python_the_types_are_strict(bob: Client) -> None:
    content = ThingContent.model_validate_json(orjson.dumps(FULL))
    assert (content.due, content.price, content.color) == (date(2026, 2, 28), Decimal("1234567.89"), Color.BLUE)
    changed = content.changed({"due": date(2027, 1, 1)}, reset=("size",))
    assert (changed.due, changed.size, changed.at) == (date(2027, 1, 1), 1, content.at)
    for name, text in (("due", "2027-01-01"), ("price", "1"), ("at", "2026-01-31T09:30:00Z"), ("color", "red")):
        with pytest.raises(ValidationError):
            content.changed({name: text})


def test_a_kept_value_is_no_value_of_a_part_of_the_same_name() -> None:
    """A part has the field ``due`` as well; what is kept of the whole says nothing about it."""
    whole = ThingContent.model_validate_json(orjson.dumps(FULL))
    changed = whole.changed_by_json({"part": {"due": "2030-01-01", "price": "1"}})
    assert (changed.due, changed.part and changed.part.due) == (whole.due, date(2030, 1, 1))
    with pytest.raises(ValidationError):
        whole.changed({"part": {"due": "nonsense", "price": Decimal(1)}})


def test_a_value_that_was_stored_under_other_rules_is_kept() -> None:
    part = Part.model_construct(due="long ago", price=Decimal("0.30"), color=Color.RED, parts=[])
    assert part.changed_by_json({"price": "0.40"}).due == "long ago"  # type: ignore[comparison-overlap]


class Meeting(BaseModel):
    """A choice of a tagged union."""

    kind: Literal["meeting"]
    default: date


class Call(BaseModel):
    """The other one."""

    kind: Literal["call"] = "call"
    type: time


class Reserved(Content):
    """Fields whose names are words of pydantic's schemas, and a default that looks like one."""

    type: date
    metadata: date
    ref: Decimal
    config: time
    members: list[date]
    function: date | None = None
    expected: dict[str, Any] = {"type": "date"}
    event: Annotated[Meeting | Call, Field(discriminator="kind")] | None = None


def test_a_field_may_have_any_name() -> None:
    sent = {
        "type": "2026-01-31",
        "metadata": "2026-01-31",
        "ref": "1.5",
        "config": "09:30:00",
        "members": ["2026-01-31"],
    }
    for event in ({"kind": "meeting", "default": "2026-01-31"}, {"kind": "call", "type": "09:30:00"}):
        read = Reserved.model_validate_json(orjson.dumps(sent | {"function": "2026-01-31", "event": event}))
        day, expected = "2026-01-31", {"type": "date"}
        assert orjson.loads(dumps(read)) == sent | {"function": day, "expected": expected, "event": event}
    with pytest.raises(ValidationError, match="Write the date"):
        Reserved.model_validate_json(orjson.dumps(sent | {"metadata": 5}))


class Shown(BaseModel):
    """A model in an answer."""

    price: Decimal
    inner: list[Content] = []


def test_what_is_written() -> None:
    for value, text in (
        (Decimal("1E+2"), "100"),
        (Decimal("1.10"), "1.10"),
        (Decimal("1E-7"), "0.0000001"),
        (Decimal("1E+999999"), "1E+999999"),
        (timedelta(days=1, seconds=1), "P1DT1S"),
        (frozenset({3, 1, 2}), [1, 2, 3]),
        ({"b", "a"}, ["a", "b"]),
        (Shown(price=Decimal("1E+2")), {"price": "100", "inner": []}),
        ({Color.RED: b"abc"}, {"red": "abc"}),
        ({UUID(int=1): datetime(2026, 1, 31, tzinfo=UTC)}, {str(UUID(int=1)): "2026-01-31T00:00:00Z"}),
    ):
        assert orjson.loads(dumps(value)) == text
    with pytest.raises(TypeError):
        orjson.dumps(object(), written)
