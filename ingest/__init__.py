"""How orders reach raw: readers, landing, batches, and the sample shop."""
