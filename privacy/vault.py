"""Originals of personal values: how long they are kept."""

from __future__ import annotations

import logging

from perennial.settings import Settings
from perennial.warehouse import connect

log = logging.getLogger(__name__)


def expire_vault(settings: Settings) -> dict[str, list[str]]:
    """Drop the vault's months that ended more than `vault_days` ago; says which."""
    with connect(settings, "eraser") as connection:
        rows = connection.execute(
            "select to_char(month_start, 'YYYY-MM') from vault.expire(%s) as month_start",
            [settings.vault_days],
        ).fetchall()
    months = [month for (month,) in rows]
    log.info("vault: %d months expired", len(months))
    return {"expired_months": months}
