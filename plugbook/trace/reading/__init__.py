"""Answers questions about a recording: selections, frames, trees, counts and exports."""
