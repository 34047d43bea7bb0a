"""The main job end to end on a network of its own: what ``pot demo`` runs."""
