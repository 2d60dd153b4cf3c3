"""What is slow, what is saved, against whom: scripts that measure, each one a command."""
