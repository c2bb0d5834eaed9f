"""Extension points: what one plugin declares and others contribute to."""
