"""How does a tenant go?"""
