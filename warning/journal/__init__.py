"""The record: everything that was seen, judged, said and sent. The only door to SQLAlchemy and alembic."""
