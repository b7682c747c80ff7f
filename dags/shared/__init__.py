"""Code that the DAG files share. It defines no DAG, and it is light to import."""
