"""Delete the originals of personal values once they have been kept long enough."""

from __future__ import annotations

import logging

from perennial.settings import Settings
from perennial.warehouse import connect

log = logging.getLogger(__name__)


def expire_vault(settings: Settings) -> dict[str, list[str]]:
    """Drop the vault's months that ended more than `vault_days` ago.

    Returns:
        `expired_months`: the dropped months, as `2024-05`.
    """
    with connect(settings, "eraser") as connection:
        rows = connection.execute(
            "select to_char(month_start, 'YYYY-MM') from vault.expire(%s) as month_start",
            [settings.vault_days],
        ).fetchall()
    months = [month for (month,) in rows]
    log.info("vault: %d months expired", len(months))
    return {"expired_months": months}
