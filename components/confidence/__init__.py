"""How sure an answer is: whether the gallery has anything that was asked for."""
