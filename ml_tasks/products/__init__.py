"""Profile: what a shop knows of each customer, in one row, from SQL alone."""
