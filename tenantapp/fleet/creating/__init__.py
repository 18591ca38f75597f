"""How does a tenant get its database?

``create`` is the kind of operation that makes an empty tenant: a copy of the template (``template_copies``), or a
database that was made in advance (``warm``). ``new_tenants`` has what all kinds that make a tenant share: besides
``create`` those of bundles, backups and copies. ``unfinished`` sees to tenants whose making was cut short.
"""
