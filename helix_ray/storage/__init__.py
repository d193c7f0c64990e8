"""The ledger: final rows in PostgreSQL, written exactly once."""
