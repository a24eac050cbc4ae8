"""The command line: a small file for each command, which imports what is heavy when it runs."""
