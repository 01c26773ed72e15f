"""Checks the form of Mollie's ids, for what a delivery names goes into the path of a query."""

import re
from typing import Final

PAYMENT: Final = re.compile(r"tr_[A-Za-z0-9]{1,60}", re.ASCII)
REFUND: Final = re.compile(r"re_[A-Za-z0-9]{1,60}", re.ASCII)
LINK: Final = re.compile(r"pl_[A-Za-z0-9]{1,60}", re.ASCII)
ORDER: Final = re.compile(r"ord_[A-Za-z0-9.]{1,60}", re.ASCII)  # of the Orders API
PAYMENT_PATH: Final = re.compile(r"https?://[^/?#]+/v2/payments/(tr_[A-Za-z0-9]{1,60})(?:[/?#].*)?", re.ASCII)
