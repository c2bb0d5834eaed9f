"""Typed events: what they are, which topics they have, and how they reach their handlers."""
