"""What becomes of plugins that fail or are held back, and of the events they miss."""
