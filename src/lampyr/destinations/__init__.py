"""Where records of invocations and dead letters are sent."""
