"""Drift: distributions of inputs and scores compared with those of the training date."""
