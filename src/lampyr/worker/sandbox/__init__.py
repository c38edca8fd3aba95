"""What isolates an execution environment from its neighbours and from the host."""
