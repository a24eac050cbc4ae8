"""The prompt of `lcma sql`: completion of what is typed, and the loop that answers."""
