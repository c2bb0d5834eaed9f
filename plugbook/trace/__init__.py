"""Records: what happened, written to one file and read back from it."""
