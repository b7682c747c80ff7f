"""Airflow reads this as the scheduler starts, whose workers are forked from it.

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
