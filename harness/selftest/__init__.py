"""`lcma selftest`: a small sweep that is killed over and over, beside one that is left alone."""
