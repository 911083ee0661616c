"""The commands of `twinpin`, a file for each thing they are about."""
