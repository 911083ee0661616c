"""Putting other pins in force while requests flow."""
