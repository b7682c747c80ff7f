"""Score one question for one date without Airflow: `python -m ml_tasks churn 2011-09-10`."""

from __future__ import annotations

import argparse
import json
import logging
from datetime import date

from ml_tasks.shared.run import score_question
from perennial import contracts
from perennial.settings import Settings


def main() -> None:
    """Read the arguments, score, print the summary."""
    parser = argparse.ArgumentParser(prog="python -m ml_tasks", description=__doc__)
    parser.add_argument("question", choices=contracts.questions())
    parser.add_argument("as_of_date", type=date.fromisoformat)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(name)s %(message)s")
    summary = score_question(Settings(), arguments.question, arguments.as_of_date, run_id="by hand")
    print(json.dumps(summary, indent=1))


if __name__ == "__main__":
    main()
