"""Decisions about the network of sandboxes."""
