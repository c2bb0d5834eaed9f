"""Which plugins, in which versions, can run together and in which order; and what would mend it."""
