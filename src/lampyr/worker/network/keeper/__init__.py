"""The network keeper: a small process that makes sandbox networks.

It runs with `-I -S` and imports little: no asyncio, no logging. Lampyr talks to it over a
SOCK_SEQPACKET pair; `protocol.py` has the messages.
"""
