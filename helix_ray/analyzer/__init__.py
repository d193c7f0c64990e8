"""An analyzer without Ray: leases reads, keeps requests in flight, hands results on."""
