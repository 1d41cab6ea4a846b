"""One module a command; each offers `COMMANDS`, name → click command, and is imported only to run or to show help."""
