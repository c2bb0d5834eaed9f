"""Ways to write a plugin besides a class of its own: functions, chains, bases, bundles."""
