"""The figures: `measure` gives what goes into NAME.json, `draw` makes NAME.png from it."""
