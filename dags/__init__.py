"""What runs when. No logic: a DAG file names steps, and its docstring is its page in the UI."""
