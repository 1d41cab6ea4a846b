"""From a name in a config to a class: scopes, toolboxes and their tables, what is said where nothing is found."""
