"""The questions: one folder each, and in `shared` the little that they have in common."""
