"""Do the databases have the structure that their revision makes?"""
