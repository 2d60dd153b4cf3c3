"""Faults, kills and damaged input: nothing is lost."""
