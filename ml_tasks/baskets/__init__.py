"""Baskets: pairs, triples and sequences of products that go together."""
