"""Next order: when, how much, what; given that it comes within 90 days."""
