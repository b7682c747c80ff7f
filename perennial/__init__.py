"""Code that every step shares: settings, connections, and the source and score contracts."""
