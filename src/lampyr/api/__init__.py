"""The Lambda API over HTTP, from botocore's service model."""
