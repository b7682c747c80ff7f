"""Stages of a customer's life: the stage now, and the chance of each stage in 90 days."""
