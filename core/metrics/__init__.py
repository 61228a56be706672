"""Numbers from answers and truth; no model is known here."""
