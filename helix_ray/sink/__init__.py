"""The sink without Ray: batches, commits, acknowledgements."""
