"""Which keys of JSON objects can be named by a path."""

import re

# Paths are compared with the text of a key as it is written, and writers may write all other characters as escapes
# (Go does so with <, > and &); such keys are looked for by json_each, which decodes them.
AS_PATH = re.compile(r"[A-Za-z0-9 _.:/@#$%*+=,;!?~^|(){}\[\]-]+")
