"""What runs in the neighbours' own process and Python environment; it imports nothing of Lampyr."""
