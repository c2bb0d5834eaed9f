"""Adapters: one file for each foreign plugin system, turning what happens there into records."""
