"""How each kind of question is answered from a store."""
