"""Lists every operation of the API: the routes with their roles, and the document, are made of this table."""

from typing import Any, Final

from tillkeeper.desk.api.act_operations import ACTS
from tillkeeper.desk.api.operation import Operation
from tillkeeper.desk.api.read_operations import READS
from tillkeeper.desk.api.types.accounts import Account
from tillkeeper.desk.api.types.guard import Pause
from tillkeeper.desk.api.types.queues import Approval

OPERATIONS: Final[tuple[Operation, ...]] = (*READS, *ACTS)

# Answers that are lists without parts.
LISTS: Final[dict[str, tuple[Any, str]]] = {
    "Approvals": (Approval, "What waits for a second person, the oldest first."),
    "Pauses": (Pause, "Accounts that are paused, the latest first."),
    "Accounts": (Account, "Every account, by name."),
}
