"""How is a tenant, or a foreign database, copied to another place?"""
