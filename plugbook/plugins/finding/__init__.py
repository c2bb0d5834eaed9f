"""Where plugins come from: installed distributions, folders, and the code behind an entry point."""
