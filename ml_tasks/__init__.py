"""The questions, one folder each, and the folders that questions share: see README.md."""
