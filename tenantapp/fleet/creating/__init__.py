"""How does a tenant get its database?

``create`` is the kind of operation that makes an empty tenant, either from the template or from a warm database.
``warm`` keeps warm databases ready. ``new_tenants`` has what all kinds that make a tenant share: ``create``, and those
of bundles, backups and copies. ``unfinished`` finishes or removes tenants whose making was cut short.
"""
