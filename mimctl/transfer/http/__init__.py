"""Speaking HTTP: lines and their sessions, an exchange with its redirects, what goes wrong, whether to try again."""
