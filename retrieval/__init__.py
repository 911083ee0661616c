"""What the model is shown: access, the catalog, index versions and finding."""
