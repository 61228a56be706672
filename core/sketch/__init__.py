"""Sketching: a picture or a sentence becomes a handful of strokes, drawn while one watches."""
