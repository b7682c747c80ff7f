"""Whether the data are there that are due, whatever became of the tasks that make them."""
