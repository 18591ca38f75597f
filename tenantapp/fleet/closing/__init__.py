"""How is a tenant kept out of its database, and let into another one?

``fence`` keeps a tenant's people out. ``switching`` serves a tenant from another database. ``discarding`` removes the
databases that no tenant has any more.
"""
