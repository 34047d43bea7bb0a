"""The EVM side: compile, deploy, typed bindings, transactions, events, wallets.

Everything here is synchronous and safe to use from several threads; asyncio programs call it through
``asyncio.to_thread``. Nothing is imported here, so that a program pays only for the modules it uses.
"""
