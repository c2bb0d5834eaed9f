"""How a host answers: why a plugin is as it is, what would mend it, what it left behind, and who would have listened."""
