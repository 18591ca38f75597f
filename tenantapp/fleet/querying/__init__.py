"""How are many tenants asked at the same time?"""
