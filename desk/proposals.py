"""Says why a proposal was not made or not decided on, wherever two people decide."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from markupsafe import Markup

from tillkeeper.desk.show.shower import Shower
from tillkeeper.store.people.approvals import AlreadyProposed, MayBeSamePerson, ProposalNotOpen, SamePerson

_WORDS: Final[Mapping[type[Exception], str]] = MappingProxyType(
    {
        AlreadyProposed: "proposal.already",
        ProposalNotOpen: "proposal.not_open",
        SamePerson: "proposal.own",
        MayBeSamePerson: "proposal.may_be_own",
    }
)


def why_undecided(shower: Shower, refused: AlreadyProposed | ProposalNotOpen | SamePerson) -> Markup:
    """Returns what is said to whoever proposed or decided."""
    return shower.say(_WORDS[type(refused)])
