"""What every question shares: features in, a stored model, scores out."""
