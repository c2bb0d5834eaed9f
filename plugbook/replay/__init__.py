"""Playing a recording: its events once more, to plugins or to nobody, in the recorded order."""
