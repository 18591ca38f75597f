"""How does a tenant get its database?"""
