"""Ray shells around Ray-free engines, and the crew that makes them."""
