"""Declared effects: performed, recorded, and given back in a replay."""
