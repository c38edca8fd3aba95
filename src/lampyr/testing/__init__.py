"""A test kit for Lampyr and for those who extend it."""
