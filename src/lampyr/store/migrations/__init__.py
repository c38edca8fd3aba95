"""Steps from the schema of each earlier release to the present one (Alembic)."""
