"""Plans of what to run: recipes, specs, their expansion into trials, and identity."""
