"""One file per document format, each the only place its library is imported."""
