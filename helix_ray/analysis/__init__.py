"""From a read to a request and from an answer to judged calls: prompts, schema, checks, token estimates, prices. Pure."""
