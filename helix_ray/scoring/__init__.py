"""Calls against truth: pure functions over variants, and counts that add up across workers."""
