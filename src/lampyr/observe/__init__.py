"""What functions wrote and how they ran."""
