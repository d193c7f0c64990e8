"""Ray shells around Ray-free engines, and the group that makes them."""
