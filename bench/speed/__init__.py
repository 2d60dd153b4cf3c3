"""Speed, each figure as a ratio to a peer."""
