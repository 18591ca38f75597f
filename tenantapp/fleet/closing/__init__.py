"""How is a tenant kept out of its database, and let into another one?"""
