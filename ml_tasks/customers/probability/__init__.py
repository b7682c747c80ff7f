"""Probability models of customers without contracts: when they order, and for how much."""
