"""How is a tenant's database backed up and restored?"""
