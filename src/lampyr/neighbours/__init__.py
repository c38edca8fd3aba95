"""The AWS services beside Lambda: on the same port, near (a supervised child) or far (any URL)."""
