"""Dashboards: `python -m deploy.grafana` writes the JSON files beside this one, which Grafana imports."""
