"""How much pretraining is worth buying: the budget curve, its costs, and the map behind it."""
