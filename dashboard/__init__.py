"""The monitor page: a client of the named actors. It owns no engine; closing it changes nothing."""
