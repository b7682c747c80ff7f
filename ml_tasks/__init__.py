"""The questions, a folder each, and the rooms of what they have in common: see README.md."""
