"""How does a tenant, or a database from elsewhere, get into another place?"""
