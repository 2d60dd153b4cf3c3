"""The services' wire formats, server side."""
