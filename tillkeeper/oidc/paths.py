"""Names the paths of the desk by which people sign in with their company's account."""

from typing import Final

BEGIN_PATH: Final = "/sign-in/company"
BACK_PATH: Final = "/sign-in/company/back"  # the redirect URI that the provider must know
