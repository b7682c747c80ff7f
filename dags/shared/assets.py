"""The assets that chain the DAGs: each event carries the scored date as its partition key."""

from airflow.sdk import Asset

from perennial import contracts
from perennial.settings import WAREHOUSE, Settings

_settings = Settings()


def _asset(*path: str) -> Asset:
    address = f"{_settings.pg_host}:{_settings.pg_port}"
    return Asset("/".join(path), uri=f"postgres://{address}/{WAREHOUSE}/{'/'.join(path)}")


SAMPLE_DAY = _asset("sample_day")
RAW = _asset("raw")
FEATURES = _asset("features")
SCORES = {question: _asset("scores", question) for question in contracts.questions()}
REPORTING = _asset("reporting")
