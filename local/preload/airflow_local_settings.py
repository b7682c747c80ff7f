"""Airflow reads this as the process starts that tasks are forked from.

What is imported here no task imports again: seconds of each gate, each training and dbt. Not torch:
190 MB in every process, for a second and a half in the two tasks of demand.
"""

from importlib import import_module

from perennial import threads

for name in (
    "dbt.cli.main",
    "great_expectations.expectations",
    "lifelines",
    "matplotlib.pyplot",
    "mlflow",
    "pandas",
    "psycopg",
    "pydantic_settings",
    "statsmodels.api",
    "xgboost",
):
    import_module(name)
threads.prepare()
