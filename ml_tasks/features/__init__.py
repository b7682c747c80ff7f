"""Feature tables as frames, and how entities are dealt into shards."""
