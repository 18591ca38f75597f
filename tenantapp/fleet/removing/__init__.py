"""How is a tenant deleted and removed?"""
