"""How does a tenant get its database?

``create`` is the kind of operation that makes an empty tenant: of the template, or of a database that ``warm`` has had
made in advance. ``new_tenants`` has what all kinds that make a tenant share: besides ``create`` those of bundles,
backups and copies. ``unfinished`` sees to tenants whose making was cut short.
"""
