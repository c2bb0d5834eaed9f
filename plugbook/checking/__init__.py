"""Checks a plugin: first what it says, without running any of it, then a short life of it in a fresh process."""
