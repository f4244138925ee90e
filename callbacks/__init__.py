"""Watchers: one a file. None changes what it watches without saying so in its name and its log."""
