"""dam-warning: a seven-day flood early-warning daemon for reservoirs."""

__version__ = "0.1.0"
