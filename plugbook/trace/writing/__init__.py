"""Takes what happens and keeps it in a file; it needs the standard library alone."""
