"""Making a sweep happen: planning against the database, scheduling, and the task bodies."""
