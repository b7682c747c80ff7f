"""Trained models: the registry, their files and cards, champions and challengers."""
