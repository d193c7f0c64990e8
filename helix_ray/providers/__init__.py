"""What an API publishes, promises and says: prices, limits, headers, errors, completions."""
