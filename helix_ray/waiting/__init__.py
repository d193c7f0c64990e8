"""Bounded waits inside an event loop."""
