"""What the author of a toolbox needs: `mimctl plugin check` tells every mistake before a user meets it."""
