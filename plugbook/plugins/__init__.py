"""Plugins: what one is, what it may take, how it is found, resolved, loaded, started and cleaned up."""
