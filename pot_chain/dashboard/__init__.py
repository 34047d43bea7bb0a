"""What people look at: the live view of a running task and the report of a finished one.

Everything here is a function of plain data: no chain, no storage, no torch. ``pot demo`` and ``pot task watch``
feed it.
"""
