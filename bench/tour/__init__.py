"""A script for each reader: one step for the auditor, a service of one's own, a run that fails."""
