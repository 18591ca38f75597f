"""tenantapp: one login, many databases."""

from typing import Any


def main(global_config: Any, **settings: Any) -> Any:
    """Return the WSGI application. This is the application factory for PasteDeploy.

    Raises ``SystemExit`` with one sentence if a setting is wrong.
    """
    # Imported here, because most commands need no application and should not import Pyramid.
    from tenantapp.application import make_app
    from tenantapp.settings import SettingsError

    try:
        return make_app(global_config, settings)
    except SettingsError as error:
        raise SystemExit(f"tenantapp: {error}.") from None
