"""Where a plugin's options come from: defaults, a file, the environment, the host and live edits.

pydantic-settings reads files and variables, too, and is well kept. It is not used: it wants to be the base class of
every ``Config``, drops variables that fit nothing without a word, and hands over one merged mapping, in which nobody
can find any more who said what. What would be left of it is the reading of a variable's text.
"""
