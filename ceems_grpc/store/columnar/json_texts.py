"""Forms of the texts in JSON columns: the empty ones, and the form in which the API writes the others."""

EMPTY_OBJECTS = ("{}", "", "null")
"""The texts of JSON columns that hold no keys, besides no text at all."""
EMPTY_VALUES = (*EMPTY_OBJECTS, "[]")
"""The texts of JSON columns that answers leave out."""

API_NUMBER = r"-?(?:0|[1-9][0-9]{0,17})(?:\.[0-9]{1,8})?"
"""Matches a number as the API writes it, except for zeros at the end."""
_ITEM = rf'"[A-Za-z0-9_.:/ -]+":{API_NUMBER}'
API_METRIC = rf"\{{{_ITEM}(?:,{_ITEM})*\}}"
"""Matches an object of such numbers."""
