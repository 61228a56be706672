"""Evaluation: what each system is worth on data that nobody trained on, in figures that anyone can measure again."""
