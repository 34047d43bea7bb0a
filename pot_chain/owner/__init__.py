"""What the holder of a key does in one shot: pay for tasks, watch them, take models and rewards, register nodes.

Functions return values and raise errors; nothing is printed. Nothing is imported here, so that a command pays only for
what it uses.
"""
