"""Actions: what to do about each customer now, and what past actions did."""
