"""Scripts of toolboxes and packages that are no verb of ours: found by name, started under every launcher."""
