"""Choose an alert's receivers and send it.

Receivers come from the file PERENNIAL_ALERT_ROUTES by severity and owner, else from
PERENNIAL_ALERT_URLS. The URLs contain secrets, so they are never logged; a receiver is logged by
its number and kind.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from oncall.alerts.causes import SEVERITIES, owners
from perennial.settings import Settings, SettingsError

log = logging.getLogger(__name__)

KEYS = {"urls", "severity", "owner"}


@dataclass(frozen=True)
class Route:
    """Receivers of the alerts of some severities and owners."""

    urls: tuple[str, ...]
    severities: tuple[str, ...]
    owners: tuple[str, ...]


def load(settings: Settings) -> list[Route]:
    """Read the routes from the file PERENNIAL_ALERT_ROUTES; empty if the setting is empty.

    Raises:
        SettingsError: If the file is missing or not valid.
    """
    if not settings.alert_routes:
        return []
    path = Path(settings.alert_routes)
    known = tuple(sorted(owners()))
    try:
        entries = json.loads(path.read_text())
    except (OSError, ValueError) as error:  # the error's text is not shown: it may quote secrets
        raise SettingsError(f"PERENNIAL_ALERT_ROUTES={path}: {type(error).__name__}") from None
    if not isinstance(entries, list):
        raise SettingsError(f"PERENNIAL_ALERT_ROUTES={path}: a list of routes is expected")
    return [_route(entry, f"route {i}", known) for i, entry in enumerate(entries, start=1)]


def _route(entry: Any, where: str, known: tuple[str, ...]) -> Route:
    where = f"PERENNIAL_ALERT_ROUTES, {where}"
    if not isinstance(entry, dict) or "urls" not in entry or entry.keys() - KEYS:
        raise SettingsError(f"{where}: it has urls, and may have severity and owner, nothing else")
    urls = _words(entry["urls"], where, "urls")
    severities = _words(entry.get("severity", list(SEVERITIES)), where, "severity")
    of_owners = _words(entry.get("owner", list(known)), where, "owner")
    for name, given, allowed in (
        ("severity", severities, SEVERITIES),
        ("owner", of_owners, known),
    ):
        unknown = sorted(set(given) - set(allowed))
        if unknown:
            raise SettingsError(
                f"{where}: unknown {name} {', '.join(unknown)}; choose of {', '.join(allowed)}"
            )
    return Route(urls, severities, of_owners)


def _words(value: Any, where: str, name: str) -> tuple[str, ...]:
    """One text of blank-separated words, or a list of texts."""
    words = value.split() if isinstance(value, str) else value
    if not isinstance(words, list) or not words or not all(isinstance(w, str) for w in words):
        raise SettingsError(f"{where}: {name} is a text or a list of texts, and not empty")
    return tuple(words)


def check(settings: Settings) -> None:
    """Check at start that alerts can be sent.

    Raises:
        SettingsError: If the file of routes, or a URL in it or in PERENNIAL_ALERT_URLS, is not
            valid.
    """
    given = {"PERENNIAL_ALERT_URLS": settings.alert_urls.split()}
    for number, route in enumerate(load(settings), start=1):
        given[f"PERENNIAL_ALERT_ROUTES, route {number}"] = list(route.urls)
    for where, urls in given.items():
        for number, url in enumerate(urls, start=1):
            if _receiver(url) is None:
                raise SettingsError(f"{where}: {_named(number, url)} is not understood by Apprise")


def receivers(settings: Settings, severity: str, owner: str) -> list[str]:
    """URLs for a severity and an owner: those of every matching route, else the default ones."""
    try:
        routes = load(settings)
    except SettingsError as error:  # the file was valid at start; send the alert all the same
        log.error("%s: alerts go to PERENNIAL_ALERT_URLS alone", error)
        routes = []
    fitting = [
        url
        for route in routes
        if severity in route.severities and owner in route.owners
        for url in route.urls
    ]
    return list(dict.fromkeys(fitting)) or settings.alert_urls.split()


def send(urls: list[str], subject: str, body: str, level: str) -> bool:
    """Send to every receiver.

    Args:
        urls: Apprise URLs: mailto, json, slack and so on. Empty: nothing is sent.
        subject: One line.
        body: Plain text.
        level: As Apprise names it: failure, warning, info or success.

    Returns:
        Whether there are receivers and all of them accepted the alert. The others are logged by
        number and kind, since their URLs contain secrets.
    """
    if not urls:
        log.info("no alert is sent: there are no PERENNIAL_ALERT_URLS for it")
        return False
    missed = []
    for number, url in enumerate(urls, start=1):
        receiver = _receiver(url)
        if not receiver:
            missed.append(f"{_named(number, url)} is not understood by Apprise")
        elif not receiver.notify(title=subject, body=body, notify_type=level):
            missed.append(f"{_named(number, url)} did not accept it")
    if missed:
        log.error("the alert %r was NOT delivered to all: %s", subject, "; ".join(missed))
    return not missed


def _receiver(url: str) -> Any:
    import apprise

    return apprise.Apprise.instantiate(url, suppress_exceptions=True)


def _named(number: int, url: str) -> str:
    return f"number {number} ({url.split('://')[0] if '://' in url else 'no URL'})"
