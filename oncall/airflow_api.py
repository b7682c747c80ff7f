"""Airflow from outside: its REST API, and whether its parts are well."""

from __future__ import annotations

from typing import Any

import httpx

from perennial import contracts
from perennial.settings import Settings

PARTS = ("metadatabase", "scheduler", "triggerer", "dag_processor")


def chain_of_dags() -> list[str]:
    """The DAGs that a date passes through, in order; the score DAGs run side by side."""
    questions = (f"score_{question}" for question in contracts.questions())
    return ["land", "build_warehouse", *questions, "report", "lookback"]


class AirflowError(RuntimeError):
    """Airflow did not start or does not answer; the message says where to look."""


class NoAnswerError(AirflowError):
    """The API is busy, hung or down: the same may be answered later."""


class ThereAlreadyError(AirflowError):
    """What was to be made is there already."""


def base_url(settings: Settings) -> str:
    """Where the UI and the API are."""
    return f"http://{settings.airflow_host}:{settings.airflow_port}"


def health(settings: Settings) -> dict[str, str]:
    """What Airflow says of its parts, without a login; empty: it does not answer."""
    try:
        parts = httpx.get(f"{base_url(settings)}/api/v2/monitor/health", timeout=5).json()
        return {part: str((parts.get(part) or {}).get("status")) for part in PARTS}
    except (httpx.HTTPError, ValueError):
        return {}


class Api:
    """The REST API of this home's Airflow, logged in as its admin."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._client = httpx.Client(base_url=f"{base_url(settings)}/api/v2", timeout=30)
        self._login()

    def _login(self) -> None:
        body = {"username": "admin", "password": self._settings.password("airflow_admin")}
        answer = self._ask("POST", f"{base_url(self._settings)}/auth/token", json=body)
        _require_success(answer, "logging in to Airflow")
        self._client.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"

    def _ask(self, verb: str, path: str, **kwargs: Any) -> httpx.Response:
        try:
            return self._client.request(verb, path, **kwargs)
        except httpx.HTTPError as error:
            raise NoAnswerError(f"{verb} {path}: Airflow's API does not answer ({error})") from None

    def request(self, verb: str, path: str, **kwargs: Any) -> Any:
        """Call the API and return its JSON.

        Raises:
            NoAnswerError: On no answer, or one that tells of a server that is not well.
            AirflowError: On any other but success; the message has Airflow's own.
        """
        answer = self._ask(verb, path, **kwargs)
        if answer.status_code == httpx.codes.UNAUTHORIZED:  # the token has run out
            self._login()
            answer = self._ask(verb, path, **kwargs)
        _require_success(answer, f"{verb} {path}")
        return answer.json() if answer.content else None

    def get(self, path: str, **params: Any) -> Any:
        """GET, with query parameters."""
        return self.request("GET", path, params=params)

    def post(self, path: str, body: dict[str, Any]) -> Any:
        """POST a JSON body."""
        return self.request("POST", path, json=body)


def _require_success(answer: httpx.Response, what: str) -> None:
    if answer.is_error:
        kind = ThereAlreadyError if answer.status_code == httpx.codes.CONFLICT else AirflowError
        kind = NoAnswerError if answer.is_server_error else kind
        raise kind(f"{what}: {answer.status_code} {answer.text[:500]}")
