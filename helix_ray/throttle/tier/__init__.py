"""Tier."""
