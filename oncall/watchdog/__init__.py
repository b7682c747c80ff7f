"""Check that the data that are due are there, whatever the state of the tasks that make them."""
