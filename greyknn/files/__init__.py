"""Tables as files, for the shell command: csv without loss, parquet and feather."""

from greyknn.files.formats import Format, Table, read, replacing, write
from greyknn.files.texts import InputError

__all__ = ["Format", "InputError", "Table", "read", "replacing", "write"]
