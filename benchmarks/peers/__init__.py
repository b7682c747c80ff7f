"""What a user would pick instead, run in an environment of its own (`.venv-bench`).

Nothing here imports the product. A peer is handed a folder that holds only what happened before
the cut, and writes its predictions and what they cost beside it; the outcome lies elsewhere.
"""
