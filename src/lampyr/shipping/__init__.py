"""Logs and metrics of functions on their way to CloudWatch, wherever that is."""
