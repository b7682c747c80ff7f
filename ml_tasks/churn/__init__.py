"""Churn: the chance that a known customer places no order in the next 90 days."""
