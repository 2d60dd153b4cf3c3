"""The project's own agent: it learns whether labels survive a compression."""
