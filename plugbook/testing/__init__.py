"""What the author of a plugin tests with: fixtures for pytest, strategies for hypothesis, faults on demand."""
