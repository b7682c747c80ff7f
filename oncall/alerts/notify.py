"""Send one alert when a cause is first seen, hold repeats back, and send one when it is over."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import date, timedelta

import psycopg

from oncall.alerts import at_home, incidents, messages, routes
from oncall.alerts.causes import (
    INFO,
    RECOVERED,
    WARNING,
    Cause,
    Incident,
)
from oncall.alerts.words import cause_of
from perennial.settings import Settings, SettingsError

log = logging.getLogger(__name__)

LEVELS = {WARNING: "warning", INFO: "info"}  # names of Apprise; critical is `failure`
NO_WAREHOUSE = (psycopg.Error, SettingsError)


def notify(settings: Settings, causes: Sequence[Cause]) -> bool:
    """Count causes that one observer saw together, and send one message about the new ones.

    Args:
        settings: Receivers, and the hours after which a cause that stays is sent again.
        causes: Causes with one owner and one severity.

    Returns:
        Whether a message was sent and all receivers accepted it.
    """
    if not causes:
        return False
    again = timedelta(hours=settings.alert_again_hours)
    try:
        with incidents.opened(settings) as connection:
            noted = [(cause, *incidents.note(connection, cause, again)) for cause in causes]
            last_good = incidents.last_good(connection)
    except NO_WAREHOUSE as error:
        log.error("incidents are kept in the home: %s", cause_of(error))
        return _notify_without_warehouse(settings, causes, again)
    new = [(cause, incident, event) for cause, incident, event in noted if event]
    if not new:
        log.info("no alert: %s is known and open", causes[0].key)
        return False
    subject, is_sent = _send(settings, new, len(noted) - len(new), last_good)
    _record(settings, [(i, event, cause.step) for cause, i, event in new], subject, is_sent)
    return is_sent


def _record(
    settings: Settings, sent: Sequence[tuple[Incident, str, str]], subject: str, is_sent: bool
) -> None:
    try:
        with incidents.opened(settings) as connection:
            for incident, event, step in sent:
                incidents.record(connection, incident, event, subject, is_sent, step)
    except NO_WAREHOUSE as error:
        log.error("the alert %r is NOT in ops.alerts: %s", subject, cause_of(error))


def _notify_without_warehouse(
    settings: Settings, causes: Sequence[Cause], again: timedelta
) -> bool:
    try:
        noted = [(cause, *at_home.note(settings, cause, again)) for cause in causes]
    except OSError as error:  # repeats can't be held back: send each of them
        log.error("incidents can't be kept in the home: %s", cause_of(error))
        subject = messages.subject_of(causes[0], len(causes) - 1)
        body = "\n".join(cause.summary for cause in causes)
        urls = routes.receivers(settings, causes[0].severity, causes[0].owner)
        return routes.send(urls, subject, body, LEVELS.get(causes[0].severity, "failure"))
    new = [(cause, incident, event) for cause, incident, event in noted if event]
    if not new:
        return False
    _, is_sent = _send(settings, new, len(noted) - len(new), None)
    if not is_sent:
        for _, incident, _ in new:
            at_home.mark_undelivered(settings, incident)
    return is_sent


def _send(
    settings: Settings,
    new: Sequence[tuple[Cause, Incident, str]],
    count_held_back: int,
    last_good: messages.LastGood | None,
) -> tuple[str, bool]:
    cause = new[0][0]
    subject = messages.subject_of(cause, len(new) - 1)
    body = messages.body_of([(one, seen) for one, seen, _ in new], count_held_back, last_good)
    urls = routes.receivers(settings, cause.severity, cause.owner)
    return subject, routes.send(urls, subject, body, LEVELS.get(cause.severity, "failure"))


def has_incident(settings: Settings, run_id: str) -> bool:
    """Whether a critical open incident was last seen by a run; False without the warehouse."""
    try:
        with incidents.opened(settings) as connection:
            return incidents.is_met_by(connection, run_id)
    except NO_WAREHOUSE as error:
        log.error("it is not known whether %s has an incident: %s", run_id, cause_of(error))
        return False


def recovered(
    settings: Settings,
    steps: Sequence[str],
    as_of_date: date | None,
    still: Sequence[str] = (),
    tables: Sequence[str] | None = None,
) -> None:
    """Close the incidents that end with the success of `steps`, and send one message about them.

    Costs one statement while no incident is open. See `incidents.settle` for the arguments. Without
    the warehouse nothing is closed; the next success closes the incidents.
    """
    try:
        with incidents.opened(settings) as connection:
            over = incidents.settle(connection, steps, as_of_date, still, tables)
    except NO_WAREHOUSE as error:
        log.error("no incident can be closed now: %s", cause_of(error))
        return
    _notify_end(settings, over, RECOVERED, as_of_date)


def decided(settings: Settings, word: str) -> None:
    """Close the incidents about held batches once no batch is held any more.

    Args:
        settings: Receivers.
        word: The last decision: accepted or refused.
    """
    try:
        with incidents.opened(settings) as connection:
            over = incidents.decide(connection)
    except NO_WAREHOUSE as error:
        log.error("no incident can be closed now: %s", cause_of(error))
        return
    _notify_end(settings, over, word, None)


def _notify_end(
    settings: Settings, over: Sequence[Incident], word: str, as_of_date: date | None
) -> None:
    by_receiver: dict[tuple[str, ...], list[Incident]] = {}
    for incident in over:
        if incident.severity != INFO:  # the end of a question to a person needs no message
            urls = routes.receivers(settings, incident.severity, incident.owner)
            by_receiver.setdefault(tuple(urls), []).append(incident)
    for to_urls, together in by_receiver.items():
        subject, body = messages.end_of(together, word, as_of_date)
        is_sent = routes.send(list(to_urls), subject, body, "success")
        _record(settings, [(incident, word, "") for incident in together], subject, is_sent)
