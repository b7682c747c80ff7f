"""The alternatives to Perennial, run in an environment of their own (`.venv-bench`).

Nothing here imports the product. A peer gets a folder with only what happened before the cut, and
writes its predictions and their cost beside it; the outcome lies elsewhere.
"""
