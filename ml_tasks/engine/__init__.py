"""Scoring a date: chunks of entities, the check of rows against their contract, publication."""
