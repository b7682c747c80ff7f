"""All settings, in one frozen object that is passed on. No other module reads the environment.

Every field is an environment variable with the prefix PERENNIAL_ (`PERENNIAL_PG_PORT=5433`).
Passwords are files, one per role, in `secrets_dir`; the first start creates them.
"""

from __future__ import annotations

import json
from functools import cached_property
from pathlib import Path
from urllib.parse import quote
from zoneinfo import available_timezones

from pydantic import Field, ValidationError, ValidationInfo, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from perennial.text import holds_secret

REPOSITORY = Path(__file__).resolve().parent.parent
DBT_PROJECT = REPOSITORY / "dbt_project"

WAREHOUSE = "warehouse"
LAYERS = ("raw", "staging", "intermediate", "marts", "features", "scores", "reporting")

PII_KEY = "pii_key"  # a file in secrets_dir
SERVE_TOKEN = "serve_token"  # likewise: who shows it may ask the server
# Hour of the daily landing, shop-local: with the schedule on, a date is due some time after it.
LANDING_HOUR = 5

# FILES and the URL of models' files are stored in databases, logs and pages.
SECRET_REMEDY = (
    "there is a password or a signature in the address, and it would be stored where many can read "
    "it: leave it out, and set it in an environment variable of fsspec, such as FSSPEC_HTTP or "
    "AWS_SECRET_ACCESS_KEY (docs/operations.md)"
)

# The sample shop writes files in the canonical form, so it is landed and staged as `canonical`.
SAMPLE_SHOP = "sample"


class SettingsError(ValueError):
    """A setting is missing or contradicts another; the message names it and the remedy."""


def explained(error: ValidationError) -> str:
    """One line with the wrong settings and the fault of each."""
    faults = (
        f"PERENNIAL_{'_'.join(map(str, fault['loc'])).upper()}: {fault['msg']}"
        if fault["loc"]
        else str(fault["msg"])
        for fault in error.errors()
    )
    return "; ".join(faults)


SHOP_FILE = "shop.json"  # in a home: its SOURCE, and the shop's own settings


def shop_file(home: Path) -> dict[str, str]:
    """Read the home's shop.json: `source`, `time_zone` and `currency`.

    Returns:
        Empty if the home was never started; `source` alone if an old version started it.

    Raises:
        SettingsError: If the file is broken.
    """
    path = home / SHOP_FILE
    try:
        kept = json.loads(path.read_text())
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except ValueError:
        kept = None
    is_sound = isinstance(kept, dict) and all(isinstance(value, str) for value in kept.values())
    if not is_sound or "source" not in kept:
        raise SettingsError(
            f"{path} is broken, and it names the home's shop: restore it from a backup "
            f'(<backup>/home/{SHOP_FILE}), or write {{"source": "..."}} into it, with the SOURCE '
            f"that the home was started with ({SAMPLE_SHOP} if without one)"
        )
    return kept


def shop_of(home: Path) -> str | None:
    """SOURCE of the home's shop; None if the home was never started."""
    return shop_file(home).get("source")


class Settings(BaseSettings):
    """Settings of a home: its shop, its addresses, its limits. Build once per process, pass on."""

    model_config = SettingsConfigDict(
        env_prefix="PERENNIAL_", frozen=True, extra="ignore", hide_input_in_errors=True
    )

    home: Path = Field(REPOSITORY / ".perennial", description="State of one shop on one machine.")
    source: str = Field(SAMPLE_SHOP, description="Folder in dbt_project/models/staging, or sample.")
    files: str = Field("", description="Path, folder, glob or URL; may contain {as_of_date}.")
    max_file_gb: float = Field(
        50, gt=0, description="Maximum length of a file, uncompressed, in 10^9 bytes."
    )
    schedule: str = Field("off", pattern="^(on|off)$")
    secrets: Path | None = Field(None, description="Folder of the passwords; unset: in the home.")

    pg_host: str = "127.0.0.1"
    pg_port: int = Field(54320, ge=1024, le=65535)
    airflow_host: str = Field("127.0.0.1", description="Host of Airflow's API server.")
    airflow_port: int = Field(8080, ge=1024, le=65535)
    mlflow_port: int = Field(5000, ge=1024, le=65535)
    serve_host: str = Field("127.0.0.1", description="Address that `serve` listens on.")
    serve_port: int = Field(8070, ge=1024, le=65535)

    cores: int = Field(
        2, ge=1, description="Maximum number of heavy tasks at once, on all workers together."
    )

    artefacts: str = Field(
        "",
        pattern="^(|file:///.+|[a-z0-9]+://[^/].*)$",
        description="fsspec URL of models' files; empty: in the home.",
    )

    # Fixed for a home by its first start. Only perennial/shop.py reads these two.
    time_zone: str = Field(
        "", description="IANA name; empty: the home's own, at the first start the source's default."
    )
    currency: str = Field("", pattern="^([A-Z]{3})?$", description="ISO 4217; empty: likewise.")

    alert_urls: str = Field("", description="Apprise URLs, blank-separated; empty: no alerts.")
    alert_routes: str = Field(
        "",
        description="JSON file, a list of {urls, severity, owner}: receivers of alerts; an alert "
        "that matches no entry goes to alert_urls.",
    )
    alert_again_hours: float = Field(
        24, gt=0, description="Hours after which an alert is repeated while its cause stays."
    )
    due_hours: float = Field(
        4, gt=0, description="Hours after its landing at which a date is late; also for DAG runs."
    )
    alert_base_url: str = Field("", description="Base of the links in alerts; empty: this Airflow.")

    training_customers: int = Field(
        20_000,
        ge=1,
        description="Approximate number of sampled customers on a date that is only used for "
        "training; existing dates keep their sample.",
    )

    shards: int = Field(
        1,
        ge=1,
        le=1_000,
        description="Number of tasks that scoring is dealt to, on any workers; 1 for one machine. "
        "The scores do not depend on it.",
    )

    vault_days: int = Field(
        90, ge=1, description="Days for which originals of personal values are kept after landing."
    )

    keep_scores_months: int = Field(
        0,
        ge=0,
        description="Months of scores to keep, including the newest; 0: all. At least 13: the "
        "lookback reads scores a year later.",
    )
    keep_ops_days: int = Field(
        0,
        ge=0,
        description="Days for which results of gates, drift and alerts are kept; 0: for ever. At "
        "least 90.",
    )

    sample_customers: int = Field(5_000, ge=1)
    sample_days: int = Field(730, ge=30)
    sample_seed: int = 7

    @field_validator("home", "secrets")
    @classmethod
    def _absolute(cls, folder: Path | None) -> Path | None:
        return folder and folder.expanduser().absolute()

    @field_validator("files", "artefacts")
    @classmethod
    def _without_secret(cls, url: str) -> str:
        if holds_secret(url):
            raise ValueError(SECRET_REMEDY)
        return url

    @field_validator("time_zone")
    @classmethod
    def _known(cls, time_zone: str) -> str:
        if time_zone and time_zone not in available_timezones():
            raise ValueError(f"{time_zone!r} is no IANA time zone: write it as Europe/London")
        return time_zone

    @field_validator("keep_scores_months", "keep_ops_days")
    @classmethod
    def _long_enough(cls, kept: int, info: ValidationInfo) -> int:
        least = {"keep_scores_months": 13, "keep_ops_days": 90}[str(info.field_name)]
        if 0 < kept < least:
            raise ValueError(f"{kept} is too short: at least {least}, or 0 to keep all")
        return kept

    @model_validator(mode="after")
    def _apart(self) -> Settings:
        names = ("pg", "airflow", "mlflow", "serve")
        ports = {name: getattr(self, f"{name}_port") for name in names}
        if len(set(ports.values())) < len(ports):
            written = ", ".join(f"PERENNIAL_{n.upper()}_PORT={port}" for n, port in ports.items())
            raise ValueError(f"{written}: each needs a port of its own")
        return self

    @cached_property
    def staging_source(self) -> str:
        """Name of the folder in dbt_project/models/staging that reads this shop's files."""
        return "canonical" if self.source == SAMPLE_SHOP else self.source

    @property
    def max_file_bytes(self) -> int:
        """Maximum length of a file's uncompressed content, in bytes."""
        return int(self.max_file_gb * 10**9)

    @property
    def served_copy(self) -> Path:
        """The server's copy of what was published of each customer."""
        return self.home / "run" / "served.sqlite"

    @property
    def secrets_dir(self) -> Path:
        """Folder of password files, one a role."""
        return self.secrets or self.home / "secrets"

    @property
    def pii_key(self) -> bytes:
        """Key of the hashes of personal values: never log it, and never pass it to dbt."""
        return self.password(PII_KEY).encode()

    def password(self, role: str) -> str:
        """Read the role's password.

        Raises:
            SettingsError: If it does not exist, because the home was never started.
        """
        path = self.secrets_dir / role
        try:
            return path.read_text().strip()
        except FileNotFoundError:
            raise SettingsError(
                f"no password for role {role!r} at {path}: start this home first (`make run`), "
                "or set PERENNIAL_HOME to the home that is running"
            ) from None

    def dsn(self, role: str, database: str = WAREHOUSE, scheme: str = "postgresql") -> str:
        """Connection URL of a role. Contains the password: never log it."""
        return (
            f"{scheme}://{role}:{quote(self.password(role), safe='')}"
            f"@{self.pg_host}:{self.pg_port}/{database}"
        )
