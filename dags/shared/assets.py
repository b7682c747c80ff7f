"""The assets that chain the DAGs: each event carries the scored date as its partition key."""

from airflow.sdk import Asset

from perennial import contracts
from perennial.settings import WAREHOUSE


def _asset(*path: str) -> Asset:
    """Make an asset with a name independent of the server's address, which may change."""
    name = "/".join(path)
    return Asset(name, uri=f"perennial://{WAREHOUSE}/{name}")


SAMPLE_DAY = _asset("sample_day")
RAW = _asset("raw")
FEATURES = _asset("features")
SCORES = {question: _asset("scores", question) for question in contracts.questions()}
REPORTING = _asset("reporting")
