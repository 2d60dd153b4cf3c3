"""The figures of the paper and of the slides, measured again."""
