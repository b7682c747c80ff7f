"""What the DAG files share. Nothing here is a DAG, and nothing here is heavy to import."""
