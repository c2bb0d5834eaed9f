"""Writes the package that a new plugin begins as: a template, filled in with names."""
