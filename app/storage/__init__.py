"""The database: tables, transactions and the statements over them; the only floor that knows SQLAlchemy and Alembic."""
