"""Campaigns: what each brought, contacted customers beside held-out ones."""
