"""The store: every record that a device sent, in one SQLite file; how far each sink has got.

Theory of operation
-------------------
*It keeps the bytes; readings are a view of them.* A row is a record: the frame as it came
(credentials masked), who, when, from which clock. Its reading is decoded when somebody reads it,
so the hot path writes one row, and a better decoder improves the past.

*One writer thread, commits in groups* (`writer.py`). The program's loop collects what is to be
written in a batch. Is the thread idle, it gets the batch; is it at work, the batch grows meanwhile.
So commits follow each other as fast as the disk can, each takes along all that came during the last
one, and nothing is shared between the threads but the batch that changes hands. What must wait for
a commit (an answer to a device) is a callback in the batch, run in the loop when it is on disk.

*Trouble* (a full disk, a lock held by somebody else, a file that became read-only): the batch
stays, is tried again after a second, then less often, and goes on growing up to a bound; who waits
waits on. It is said once, and once more when it is over. *A damaged file* is moved aside, a new one
begun, and the batch written to that; so is one that was removed or replaced (`file.py`). A bad
value in a sound file costs itself alone: it is read as the type that it should have, or left out.

*A record is one row* (`schema.py`), known by its key, a hash of what was measured: what is sent
again is counted at the row that is there. It gets its *number* when it is dated: readers that go by
the number see each record once, dated, and in an order that never changes. Those that still wait
for a date are handed over after a restart, and when a wrong clock is right again (`recalling.py`).

*Bounds* (`retention.py`): by age, by size, and a budget of its own for what nobody understands.

*Others at the same file.* `lock.py` says which server has it, by whatever link it is called. Who
only looks opens it read-only beside the server (`reader.py`); who wants something changed writes a
row into `request`, which the server carries out within a second (`requests.py`).
"""

from inverterproto_cli.store.lock import HeldError
from inverterproto_cli.store.no_store import NoStore
from inverterproto_cli.store.reader import Reader
from inverterproto_cli.store.schema import StoreError, default_path
from inverterproto_cli.store.writer import NOTHING_ACKNOWLEDGED, PASSED_ON, Store

__all__ = [
    "NOTHING_ACKNOWLEDGED",
    "PASSED_ON",
    "HeldError",
    "NoStore",
    "Reader",
    "Store",
    "StoreError",
    "default_path",
]
