"""Migrations of the store (alembic), each a step from one released schema to the next."""
