"""Recommendations: which products a customer buys again, which are new to them, what goes along."""
