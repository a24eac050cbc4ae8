"""The prompt of `lcma sql`: what is typed, what completes it, and the loop that answers."""
