"""Which keys of JSON objects a path can name."""

import re

# SQLite compares a path with the written form of a key. Writers may escape any other character (Go escapes <, > and &);
# keys with such characters are looked up with json_each, which decodes them.
AS_PATH = re.compile(r"[A-Za-z0-9 _.:/@#$%*+=,;!?~^|(){}\[\]-]+")
