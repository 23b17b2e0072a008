"""Any table <-> a float64 matrix of numbers and category codes; nothing else knows about frames."""

from greyknn.table.columns import Column
from greyknn.table.dates import Clock
from greyknn.table.frames import open_table, to_library
from greyknn.table.schema import Coded, Schema, encode_labels

__all__ = ["Clock", "Coded", "Column", "Schema", "encode_labels", "open_table", "to_library"]
