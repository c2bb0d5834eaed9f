"""The command table: every word that a person can type, once, for the terminal and for the magics alike."""
