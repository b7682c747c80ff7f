"""Keep the copy up to date in the background, and know whether the warehouse answers."""

from __future__ import annotations

import asyncio
import logging

import psycopg

from perennial.dbt import DbtError
from serve.fresh import FreshScores
from serve.published_copy import PublishedCopy

log = logging.getLogger(__name__)

POLL_SECONDS = 5.0


class Refreshing:
    """Refreshes a copy every few seconds, and compiles the features' query.

    Attributes:
        warehouse_error: What the warehouse said at the last try; "" if it answered.
    """

    def __init__(self, copy: PublishedCopy, fresh: FreshScores) -> None:
        self.copy, self.fresh = copy, fresh
        self.warehouse_error = ""

    async def run(self) -> None:
        """Refresh until cancelled."""
        while True:
            await asyncio.to_thread(self.once)
            await asyncio.sleep(POLL_SECONDS)

    def once(self) -> None:
        """Refresh once; an error is kept and logged when it begins, and the earlier copy stays."""
        try:
            if self.copy.refresh():
                log.info("copied what was published anew")
            self.fresh.query()
            self.warehouse_error = ""
        except (psycopg.Error, DbtError) as error:
            message = str(error).strip().splitlines()[0] if str(error).strip() else repr(error)
            if not self.warehouse_error:
                log.warning("the warehouse does not answer, the last copy is served: %s", message)
            self.warehouse_error = message
