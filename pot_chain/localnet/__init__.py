"""Local networks: a chain, a content store and validators as processes of one machine, described by one folder.

Nothing is imported here, so that a command pays only for what it uses.
"""
