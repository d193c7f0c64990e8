"""The ledger: final rows in PostgreSQL, written exactly once."""

from helix_ray.storage.ledger import Ledger, RunRow, StoredRun, WriteOutcome

__all__ = ["Ledger", "RunRow", "StoredRun", "WriteOutcome"]
