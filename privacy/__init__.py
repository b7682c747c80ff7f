"""Personal data: expire the vault, export a customer, erase a customer. See docs/privacy.md."""
