"""Personal data: the vault's expiry, a customer's export and erasure. See docs/privacy.md."""
