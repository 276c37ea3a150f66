"""What a store holds, brought out as a file: readings in columns or lines, or the bytes themselves.

Theory of operation
-------------------
*In stretches.* The store tells by its index where each 8,192 records begin and end
(`store/selection.py`). A stretch is read, decoded and spelled by itself (`page.py`, `tables.py`),
so memory is bounded whatever there is, and several processes can each take the next one
(`working.py`); their results are written in order.

*In columns.* Data frames of inverters are decoded as columns of numbers, and spelled as columns of
texts: per reading a few microseconds, of which the store takes a third. Other messages, and all of
them without `numpy`, are decoded one by one, which takes ten times as long.

*Columns that are only known at the end.* A CSV table has the quantities that occur; which these
are, its last record may tell. Lines wait in a file until then. New quantities go behind those that
are known, so that earlier lines only lack some commas at their ends, which they get while they are
copied behind the head (`csv_file.py`). Parquet begins another part, and the parts are put together
at the end (`parquet_file.py`).
"""
