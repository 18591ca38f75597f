"""How does a person prove who they are?"""
