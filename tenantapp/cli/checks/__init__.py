"""Which things does ``tenantapp doctor`` look at?"""
