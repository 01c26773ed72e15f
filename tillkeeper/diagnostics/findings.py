"""Lists the possible findings about a refused request, with the advice for each."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

import msgspec

from tillkeeper.gateways.errors import VerificationStep


class Finding(StrEnum):
    """Why a request was refused, as far as the checks can tell."""

    HEADER_MISSING = "header_missing"
    CLOCK_SKEW = "clock_skew"
    KEY_UNKNOWN = "key_unknown"
    URL_DIFFERS = "url_differs"
    BODY_REENCODED = "body_reencoded"
    OTHER_ACCOUNT = "other_account"
    OLD_SECRET = "old_secret"  # noqa: S105 - the name of a finding
    WRONG_MODE = "wrong_mode"
    WRONG_SECRET = "wrong_secret"  # noqa: S105 - the name of a finding
    UNREADABLE = "unreadable"


ADVICE: Final[Mapping[Finding, str]] = {
    Finding.HEADER_MISSING: (
        "What the signature needs did not arrive whole, or not in the form that the settings say: see that the proxy "
        "passes all headers on, each once and unchanged. If nobody but the gateway should know this address, it may be "
        "somebody who tries it out."
    ),
    Finding.CLOCK_SKEW: (
        "The signature is good, but not of this time: set this machine's clock by NTP. If the clock is right, "
        "something held the delivery back, such as a queue before this receiver, or somebody sends an old one again."
    ),
    Finding.KEY_UNKNOWN: (
        "It is signed with a key that is not configured: fetch the new certificate or public key from the provider's "
        "console, add it beside the old one, and keep both until the old one rests."
    ),
    Finding.URL_DIFFERS: "Write the URL into the configuration exactly as it is registered with the provider.",
    Finding.BODY_REENCODED: (
        "Something between the gateway and this receiver reads the body and writes it anew: have the proxy or gateway "
        "product pass it on byte for byte."
    ),
    Finding.OTHER_ACCOUNT: (
        "In the provider's console, give that account's endpoint the address of its own account here."
    ),
    Finding.OLD_SECRET: (
        "The provider still signs with the secret that was taken out here: put it back behind the new one, and take it "
        "out once `tillkeeper keys` says that it rests."
    ),
    Finding.WRONG_MODE: (
        "Test and live are kept apart, or test money would pay live orders: give each mode an account of its own here, "
        "with its own secret and address."
    ),
    Finding.WRONG_SECRET: (
        "Compare the secret with the one in the provider's console, whole and without spaces. If it is the same, the "
        "delivery is nobody's that may speak for this account: a forgery, or a test tool."
    ),
    Finding.UNREADABLE: (
        "The delivery cannot be read. If the provider changed its format, its console shows the same delivery; keep it "
        "for the report."
    ),
}

# The finding where no check found more than the step at which verification failed.
BY_STEP: Final[Mapping[VerificationStep, Finding]] = {
    VerificationStep.HEADER: Finding.HEADER_MISSING,
    VerificationStep.TIME: Finding.CLOCK_SKEW,
    VerificationStep.KEY: Finding.KEY_UNKNOWN,
    VerificationStep.SIGNATURE: Finding.WRONG_SECRET,
    VerificationStep.MODE: Finding.WRONG_MODE,
    VerificationStep.CONTENT: Finding.UNREADABLE,
}


class Diagnosis(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a diagnosis.  `reason` is what the gateway's verification said, `detail` what the checks add."""

    finding: Finding
    reason: str
    detail: str = ""

    @property
    def advice(self) -> str:
        """Returns the advice for ops."""
        return ADVICE[self.finding]
