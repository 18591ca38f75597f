"""What does ``tenantapp doctor`` check?"""
