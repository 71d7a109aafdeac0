"""The views of the TUI, one file each; imported when they are first looked at."""
