"""Keep the copy up to date in the background, and know what prevents it."""

from __future__ import annotations

import asyncio
import logging

from oncall.alerts.words import cause_of
from serve.fresh import FreshScores
from serve.published_copy import PublishedCopy

log = logging.getLogger(__name__)

POLL_SECONDS = 5.0


class Refreshing:
    """Refreshes a copy every few seconds, and compiles the features' query.

    Attributes:
        error: What the last try ended with; "" if it succeeded.
    """

    def __init__(self, copy: PublishedCopy, fresh: FreshScores) -> None:
        self.copy, self.fresh = copy, fresh
        self.error = ""

    async def run(self) -> None:
        """Refresh until cancelled."""
        while True:
            await asyncio.to_thread(self.once)
            await asyncio.sleep(POLL_SECONDS)

    def once(self) -> None:
        """Refresh once. An error is kept, and logged when it begins; the earlier copy stays."""
        try:
            if self.copy.refresh():
                log.info("copied what was published anew")
            self.fresh.query()
            self.error = ""
        except Exception as error:  # told by /health; the last copy is served meanwhile
            if not self.error:
                log.exception("can't refresh, so the last copy is served")
            self.error = cause_of(error)
