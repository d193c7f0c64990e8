"""A producer without Ray: its share of the source, at the pace that control wants."""
