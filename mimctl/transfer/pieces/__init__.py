"""One file over several connections: who fetches which bytes, what is on the disk already, the hash that follows."""
