"""Says whose fault it is that somebody cannot sign in with their company's account."""


class ProviderAway(Exception):
    """The provider cannot be reached, or answers nothing that can be used: it may later."""


class ProviderRefuses(Exception):
    """The provider does not take what this desk is set up with: its address, its client id or its secret."""


class SignInRefused(Exception):
    """What came back proves nothing: a token that is forged, too old or for another, a code that was used."""
