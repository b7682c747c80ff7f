"""What runs when. A DAG file has no logic: it names steps; its docstring is its page in the UI."""
