"""Names the paths of the desk by which people sign in with their company's account."""

from typing import Final

BEGIN_PATH: Final = "/sign-in/company"
OUT_PATH: Final = "/sign-in/company/out"  # the back-channel logout URI, where the provider tells who signed out there
BACK_PATH: Final = "/sign-in/company/back"  # the redirect URI that the provider must know
