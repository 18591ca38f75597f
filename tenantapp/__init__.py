"""tenantapp: one login, many databases."""

from typing import Any


def main(global_config: Any, **settings: Any) -> Any:
    """Return the WSGI application (PasteDeploy's application factory).

    A setting that is wrong ends the process with one sentence.
    """
    # Imported here: most commands need no application, and import no Pyramid.
    from tenantapp.application import make_app
    from tenantapp.settings import SettingsError

    try:
        return make_app(global_config, settings)
    except SettingsError as error:
        raise SystemExit(f"tenantapp: {error}.") from None
