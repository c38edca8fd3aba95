"""The Runtime API, as the runtime inside an execution environment sees it."""
