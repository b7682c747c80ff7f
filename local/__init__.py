"""One machine, no containers: embedded Postgres and Airflow, start, watch, stop."""
