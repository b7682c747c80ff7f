"""Trained models: registry, files and cards, champions and challengers."""
