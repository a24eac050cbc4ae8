"""What to run: recipes, sweep files, their expansion into trials, and ids."""
