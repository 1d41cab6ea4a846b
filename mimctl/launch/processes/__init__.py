"""Processes of this machine: started, listened to, left alone, ended with all that they have started."""
