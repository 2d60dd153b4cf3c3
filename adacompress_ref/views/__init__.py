"""How an agent of a kind sees a photograph or a row of a table."""
