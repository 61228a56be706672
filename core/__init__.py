"""CLIP and the ten papers around it: models, a synthetic world with exact truth, pictures and numbers."""
