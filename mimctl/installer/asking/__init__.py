"""What people ask for: words, places and files of requirements, read into what the resolver takes."""
