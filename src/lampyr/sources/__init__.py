"""Event source mappings: what reads queues and streams, and invokes functions with batches."""
