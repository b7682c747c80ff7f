"""Land the shop's files in raw: readers, landing, batches, and the sample shop."""
