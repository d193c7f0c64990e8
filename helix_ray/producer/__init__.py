"""A producer without Ray: its share of the source, at the rate that control asks for."""
