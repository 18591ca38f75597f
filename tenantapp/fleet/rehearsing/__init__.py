"""What would a migration do to the tenants?

It is tried on branches of some of them.
"""
