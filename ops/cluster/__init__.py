"""Several machines: a head, which schedules, and workers, which have the accelerators.

On real machines, variables say where everything is. `make cluster` rehearses that on one machine:
it starts PostgreSQL, a server of S3, MLflow, Airflow and two workers in clones of their own.
"""
