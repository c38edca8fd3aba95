"""The composition root: settings become drivers, services and a server; or a worker."""
