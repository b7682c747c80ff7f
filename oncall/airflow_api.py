"""Client of Airflow's REST API, and the health of Airflow's components."""

from __future__ import annotations

from typing import Any

import httpx

from perennial import contracts
from perennial.settings import Settings

PARTS = ("metadatabase", "scheduler", "triggerer", "dag_processor")


def chain_of_dags() -> list[str]:
    """The DAGs that a date passes through, in order; the score DAGs run in parallel."""
    questions = (f"score_{question}" for question in contracts.questions())
    return ["land", "build_warehouse", *questions, "report", "lookback"]


class AirflowError(RuntimeError):
    """Airflow did not start or does not answer; the message names the place to look at."""


class NoAnswerError(AirflowError):
    """The API is busy, hung or down: the same request may succeed later."""


class ThereAlreadyError(AirflowError):
    """The object to create exists already."""


def base_url(settings: Settings) -> str:
    """URL of the UI and the API, without a slash at the end."""
    return f"http://{settings.airflow_host}:{settings.airflow_port}"


def health(settings: Settings) -> dict[str, str]:
    """State of each component as Airflow reports it, without a login; empty if it is down."""
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
        response = self._send("POST", f"{base_url(self._settings)}/auth/token", json=body)
        _require_success(response, "logging in to Airflow")
        self._client.headers["Authorization"] = f"Bearer {response.json()['access_token']}"

    def _send(self, verb: str, path: str, **kwargs: Any) -> httpx.Response:
        try:
            return self._client.request(verb, path, **kwargs)
        except httpx.HTTPError as error:
            raise NoAnswerError(f"{verb} {path}: Airflow's API does not answer ({error})") from None

    def request(self, verb: str, path: str, **kwargs: Any) -> Any:
        """Call the API and return its JSON.

        Raises:
            NoAnswerError: If there is no response, or a server error (5xx).
            ThereAlreadyError: If the object to create exists already (409).
            AirflowError: On any other error; the message contains Airflow's own.
        """
        response = self._send(verb, path, **kwargs)
        if response.status_code == httpx.codes.UNAUTHORIZED:  # the token has expired
            self._login()
            response = self._send(verb, path, **kwargs)
        _require_success(response, f"{verb} {path}")
        return response.json() if response.content else None

    def get(self, path: str, **params: Any) -> Any:
        """GET, with query parameters."""
        return self.request("GET", path, params=params)

    def post(self, path: str, body: dict[str, Any]) -> Any:
        """POST a JSON body."""
        return self.request("POST", path, json=body)


def _require_success(response: httpx.Response, what: str) -> None:
    if response.is_error:
        kind = ThereAlreadyError if response.status_code == httpx.codes.CONFLICT else AirflowError
        kind = NoAnswerError if response.is_server_error else kind
        raise kind(f"{what}: {response.status_code} {response.text[:500]}")
