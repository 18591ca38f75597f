"""The errors of this package.

WebhooksError
+-- TooManyWebhooks    the tenant has as many webhooks as the settings allow
+-- WebhookOff         the webhook is switched off
"""


class WebhooksError(Exception):
    """Base of this package's errors. ``str(error)`` is a sentence that may be shown to the person."""


class TooManyWebhooks(WebhooksError):
    """The tenant has as many webhooks as the setting ``webhooks.most`` allows."""

    def __init__(self, most: int) -> None:
        super().__init__(f"No tenant has more than {most} webhooks. Remove one first.")


class WebhookOff(WebhooksError):
    """Nothing is sent to a webhook that is switched off."""

    def __init__(self) -> None:
        super().__init__("The webhook is switched off. Switch it on first.")
