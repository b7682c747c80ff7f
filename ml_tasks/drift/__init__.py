"""Distributions of inputs and scores against those of the training date."""
