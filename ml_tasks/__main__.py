"""One question by hand, without Airflow.

`python -m ml_tasks churn 2011-09-10` scores a date, `lookback 2011-09-10` judges what was scored
before; `train churn [date]` lets a challenger contend with the champion; `rollback churn WHY` takes
the newest champion out of use.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from dataclasses import asdict
from datetime import date
from typing import Any

from perennial import contracts, threads
from perennial.settings import Settings, SettingsError


def main() -> int:
    """Do what the arguments say, print what came of it."""
    for name, count in threads.ONE_EACH.items():
        os.environ.setdefault(name, count)
    arguments = sys.argv[1:]
    if arguments and arguments[0] not in ("score", "train", "rollback", "-h", "--help"):
        arguments = ["score", *arguments]
    parser = argparse.ArgumentParser(
        prog="python -m ml_tasks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for command in ("score", "train", "rollback"):
        choices = contracts.published() if command == "score" else contracts.questions()
        commands.add_parser(command).add_argument("question", choices=choices)
    commands.choices["score"].add_argument("as_of_date", type=date.fromisoformat)
    commands.choices["train"].add_argument("training_date", type=date.fromisoformat, nargs="?")
    commands.choices["rollback"].add_argument("why")
    logging.basicConfig(level=logging.INFO, format="%(name)s %(message)s")
    settings = Settings()
    from ml_tasks.models.champions import ChampionError

    try:
        done = _do(settings, parser.parse_args(arguments))
    except (ChampionError, SettingsError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(json.dumps(done, indent=1, default=str))
    return 0


def _do(settings: Settings, arguments: argparse.Namespace) -> dict[str, Any]:
    # imported here: each takes a while, and the parser knows what is wrong at once
    if arguments.command == "score":
        from ml_tasks.engine.scoring import score_question

        if arguments.question == contracts.LOOKBACK:
            from ml_tasks.lookback.run import look_back

            return look_back(settings, arguments.as_of_date, run_id="by hand")
        return score_question(settings, arguments.question, arguments.as_of_date, run_id="by hand")
    if arguments.command == "train":
        from ml_tasks.models.challenge import contend

        return contend(settings, arguments.question, arguments.training_date, why="by hand")
    from ml_tasks.models.serving import roll_back

    return asdict(roll_back(settings, arguments.question, arguments.why))


if __name__ == "__main__":
    sys.exit(main())
