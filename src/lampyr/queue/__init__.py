"""Asynchronous invocation: events that were accepted, and what becomes of them."""
