"""A domain declares its settings, and one that it has not declared ends the start."""

from collections.abc import Callable
from typing import Any

import pytest
from pyramid.config import Configurator

from tenantapp.domain_settings import settings_of_domain
from tenantapp.setting_types import choice
from tenantapp.settings import SettingsError, read_settings

NEEDED = {
    "user_db.url": "sqlite+pysqlite:////tmp/user.sqlite",
    "servers.main": "sqlite+pysqlite:////tmp/tenants/",
    "tenantapp.domain": "wsgiref",
    "migrations.tenant": "wsgiref:migrations",
}


def given(
    declare: Callable[[Any], None], variables: dict[str, str] | None = None, package: str = "wsgiref", **values: str
) -> Any:
    """The values of the domain ``wsgiref``, or of a package that it includes. The first underscores are dots here."""
    own = {name.replace("_", ".", 1): value for name, value in values.items()}
    config = Configurator(package=package)
    config.registry.app_settings = read_settings(NEEDED | own, variables or {})
    with settings_of_domain(config, variables or {}):
        declare(config)
    return config.registry.domain_settings


def declare(config: Any) -> None:
    """Settings of each type."""
    config.add_setting("wsgiref.currency", choice("EUR", "USD"), "EUR", "the currency that prices are in")
    config.add_setting("wsgiref.page_size", int, 50, "products on a page")
    config.add_setting("wsgiref.tax", float, 0.2, "the part of a price that is tax")
    config.add_setting("wsgiref.open", bool, True, "whether orders are taken")
    config.add_setting("wsgiref.sender", str, None, "who sends mail")


def test_values_have_their_types() -> None:
    defaults = {"currency": "EUR", "page_size": 50, "tax": 0.2, "open": True, "sender": None}
    assert given(declare) == {f"wsgiref.{name}": value for name, value in defaults.items()}
    others = {"wsgiref_page_size": "-7", "wsgiref_tax": "1e-3", "wsgiref_open": "no", "wsgiref_sender": "shop"}
    changed = {"currency": "USD", "page_size": -7, "tax": 0.001, "open": False, "sender": "shop"}
    assert given(declare, {"TENANTAPP_WSGIREF_CURRENCY": " USD "}, **others) == {
        f"wsgiref.{name}": value for name, value in changed.items()
    }


def test_the_value_is_returned_too() -> None:
    values = []
    given(lambda config: values.append(config.add_setting("wsgiref.page_size", int, 50, "products on a page")))
    assert values == [50]


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"wsgiref_curency": "EUR"}, "setting wsgiref.curency is unknown (did you mean wsgiref.currency?)"),
        ({"wsgiref_currency": "euro"}, "setting wsgiref.currency must be one of: EUR, USD"),
        ({"wsgiref_page_size": "1.5"}, "setting wsgiref.page_size must be an integer"),
        ({"wsgiref_page_size": "\u0667"}, "setting wsgiref.page_size must be an integer"),
        ({"wsgiref_tax": "nan"}, "setting wsgiref.tax must be a number"),
        ({"wsgiref_tax": "9e999"}, "setting wsgiref.tax must be a number"),
        ({"wsgiref_open": "perhaps"}, "setting wsgiref.open must be true or false"),
        ({"wsgiref_sender": ""}, "setting wsgiref.sender must not be empty"),
    ],
)
def test_a_slip_of_the_operator_is_named(values: dict[str, str], sentence: str) -> None:
    with pytest.raises(SettingsError) as refused:
        given(declare, **values)
    assert str(refused.value) == sentence


def test_a_slip_in_a_variable_is_named() -> None:
    with pytest.raises(SettingsError) as refused:
        given(declare, {"TENANTAPP_WSGIREF_CURENCY": "EUR"})
    assert str(refused.value) == (
        "environment variable TENANTAPP_WSGIREF_CURENCY names no setting (did you mean TENANTAPP_WSGIREF_CURRENCY?)"
    )


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("currency", str, None, "x"), "setting currency of the domain needs a name such as wsgiref.page_size"),
        (("wsgiref.Currency", str, None, "x"), "setting wsgiref.Currency of the domain needs a name such as"),
        (("wsgiref.size", str, None, " "), "setting wsgiref.size needs a description"),
        (("wsgiref.page.size", int, 1, "x"), "would have the environment variable of wsgiref.page_size"),
        (("wsgiref.size", int, "many", "x"), "setting wsgiref.size must be an integer"),
    ],
)
def test_a_slip_in_a_declaration_is_named(arguments: tuple[Any, ...], sentence: str) -> None:
    def slip(config: Any) -> None:
        declare(config)
        config.add_setting(*arguments)

    with pytest.raises(SettingsError, match=sentence):
        given(slip)


def test_a_required_setting_is_asked_for() -> None:
    def require(config: Any) -> None:
        config.add_setting("wsgiref.key", str, None, "the key of the shipping service", required=True)

    with pytest.raises(
        SettingsError, match=r"^setting wsgiref\.key is missing: it is the key of the shipping service$"
    ):
        given(require)
    assert given(require, wsgiref_key="k") == {"wsgiref.key": "k"}


def test_a_package_that_the_domain_includes_has_settings_of_its_own() -> None:
    def declare_in_another(config: Any) -> None:
        config.add_setting("xmlrpc.page_size", int, 50, "calls on a page")

    variables = {"TENANTAPP_XMLRPC_PAGE_SIZE": "7"}
    assert given(declare_in_another, package="xmlrpc", xmlrpc_page_size="8") == {"xmlrpc.page_size": 8}
    assert given(declare_in_another, variables, package="xmlrpc") == {"xmlrpc.page_size": 7}
    for name in ("xmlrpc", "wsgiref", "email"):
        with pytest.raises(SettingsError, match=rf"^setting {name}\.page is unknown"):
            given(declare_in_another, package="xmlrpc", **{f"{name}_page": "8"})
        with pytest.raises(
            SettingsError, match=rf"^environment variable TENANTAPP_{name.upper()}_PAGE names no setting"
        ):
            given(declare_in_another, {f"TENANTAPP_{name.upper()}_PAGE": "8"}, package="xmlrpc")
