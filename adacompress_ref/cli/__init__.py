"""The command line: arguments, commands, messages."""
