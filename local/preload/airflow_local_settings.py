"""Airflow reads this as the process starts that tasks are forked from.

What is imported here no task imports again: seconds of each gate, each training and dbt. Not torch,
which one task a month needs.
"""

from importlib import import_module

for name in (
    "dbt.cli.main",
    "great_expectations.expectations",
    "mlflow",
    "pandas",
    "statsmodels.api",
):
    import_module(name)
