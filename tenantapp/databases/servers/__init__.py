"""How are databases made, copied and removed on a server?"""
