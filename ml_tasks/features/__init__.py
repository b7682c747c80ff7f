"""Feature tables as frames, and the division of entities into shards."""
