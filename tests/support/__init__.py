"""Fakes that are shipped: they pass the same contract tests as what they stand in for."""
