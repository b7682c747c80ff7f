"""CLV: what a known customer will spend, net, in the next 90 and 365 days."""
