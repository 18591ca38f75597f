"""How does a request go to an address that a tenant has named, and how is it signed?

``addresses`` says to which addresses requests may go, and ``sending`` sends one. ``signing`` makes the
secrets and signatures of webhooks.
"""
