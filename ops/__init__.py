"""Operating the system: its environment, one run of the DAG, and the services."""
