"""The invoke path: every invocation, from wherever, enters here."""
