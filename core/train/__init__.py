"""Training: `python -m core.train RECIPE` makes the weights that assets/checkpoints ships."""
